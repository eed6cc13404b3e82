"""Which image a plan uses, by digest or id, and which images and versions are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Failed
from launch.planning.image_choice import from_lock, named, require_fixed
from launch.spec.capabilities import Capabilities
from launch.spec.inputs import LocalImage, LockEntry
from tests.unit.launch.plan_builders import plan

NAME = "slipway/vllm-cuda:0.31.0-0123456789ab"
ID, DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
WITH_NIGHTLY = "--platform cuda --channel nightly"
NIGHTLY = LockEntry("cuda", "nightly", f"{NAME}-nightly", "b", "0.33.1", options=WITH_NIGHTLY)
STABLE = LockEntry("cuda", "stable", NAME, "a", "0.31.0", options="--platform cuda", others=(NIGHTLY,))
HERE = LocalImage(ID, entrypoint=("vllm", "serve"))
MEASURED = Capabilities(vllm_version="0.31.0+cu130", vllm_commit="f" * 40, torch_flavour="cuda")


def test_an_image_that_was_built_here_is_used_by_its_id() -> None:
    image = from_lock(STABLE, HERE, capabilities=MEASURED)
    assert (image.reference, image.vllm_version) == (ID, "0.31.0+cu130")
    assert (image.source.origin, image.source.name, image.source.digest) == ("built", NAME, ID)
    assert (image.source.vllm_commit, image.source.channel, image.source.notes) == ("f" * 40, "stable", ())


def test_a_published_image_is_used_by_its_digest() -> None:
    image = from_lock(STABLE, published=f"registry.example/slipway/vllm@{DIGEST}")
    assert (image.reference, image.source.origin) == (f"registry.example/slipway/vllm@{DIGEST}", "published")
    assert (image.source.digest, image.source.id) == (DIGEST, "")


def test_an_image_that_is_nowhere_has_the_name_of_its_inputs_and_a_note() -> None:
    image = from_lock(NIGHTLY)
    assert (image.reference, image.source.origin, image.vllm_version) == (NIGHTLY.name, "not built", "0.33.1")
    assert "`invoke build --platform cuda --channel nightly` builds it" in image.source.notes[0]


def test_a_registry_that_cannot_be_asked_is_a_note_and_not_a_reason_to_build() -> None:
    image = from_lock(STABLE, problem="registry.example cannot be asked for it: refused")
    assert image.source.problem in image.source.notes


def test_a_lock_without_a_version_assumes_the_wanted_one() -> None:
    entry = replace(NIGHTLY, vllm_version="")
    assert (from_lock(entry, wanted="0.33.0").vllm_version, from_lock(entry, wanted="0.33.0").assumed) == (
        "0.33.0",
        False,
    )
    assert from_lock(entry).assumed


@pytest.mark.parametrize(
    ("asked", "local", "digest", "expected"),
    [
        ("vllm/vllm-openai:v0.32.0", None, DIGEST, f"docker.io/vllm/vllm-openai@{DIGEST}"),
        (f"vllm/vllm-openai@{DIGEST}", None, "", f"docker.io/vllm/vllm-openai@{DIGEST}"),
        (f"vllm/vllm-openai:v1@{DIGEST}", None, "", f"docker.io/vllm/vllm-openai@{DIGEST}"),
        (
            "vllm/vllm-openai:v0.32.0",
            LocalImage(ID, (f"vllm/vllm-openai@{DIGEST}",)),
            "",
            f"docker.io/vllm/vllm-openai@{DIGEST}",
        ),
        ("mine:1", HERE, "", ID),
        ("mine:1", LocalImage(ID, (f"other/mine@{DIGEST}",)), "", ID),
        (ID, HERE, "", ID),
        ("1" * 64, HERE, "", ID),
    ],
)
def test_a_named_image_is_used_by_digest_or_id(
    asked: str, local: LocalImage | None, digest: str, expected: str
) -> None:
    image = named("cuda", asked, "0.32.0", local, digest)
    assert (image.reference, image.source.name, image.source.problem) == (expected, asked, "")
    assert image.source.digest == (DIGEST if DIGEST in expected else ID)


def test_the_entrypoint_of_an_image_that_is_here_is_read_and_not_guessed() -> None:
    assert named("cuda", "vllm/vllm-openai:x", "0.32.0", None, DIGEST).entrypoint == ("vllm", "serve")
    assert named("cuda", "vllm/vllm-openai:x", "0.32.0", LocalImage(ID)).entrypoint == ()
    assert named("cuda", "mine:1", "0.32.0", HERE).entrypoint == ("vllm", "serve")


def test_a_tag_that_is_not_resolved_can_be_shown_and_not_started() -> None:
    image = named("cuda", "vllm/vllm-openai:v0.32.0", "0.32.0", problem="no network")
    assert image.reference == "vllm/vllm-openai:v0.32.0"
    assert "is not resolved to a digest: no network" in image.source.notes[0]
    made = replace(plan(), image=image.reference, image_source=image.source)
    with pytest.raises(Failed, match=r"cannot resolve 'vllm/vllm-openai:v0\.32\.0' to a digest") as failed:
        require_fixed(made)
    assert (failed.value.why, failed.value.fix) == (
        "no network",
        "--image docker.io/vllm/vllm-openai@sha256:DIGEST",
    )
