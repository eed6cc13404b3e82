"""Every format names the image of the lock by the same digest, and says what to do before it can be started."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from errors import Failed
from launch.planning.image_choice import from_lock, named
from launch.render import FORMATS, render
from launch.spec.capabilities import Capabilities
from launch.spec.inputs import LocalImage, LockEntry
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, plan

ID, DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
BASE = f"docker.io/vllm/vllm-openai-rocm@sha256:{'3' * 64}"
ENTRY = LockEntry(
    "rocm", "stable", "slipway/vllm-rocm:0.31.0-0123456789ab", "0123456789ab", "0.31.0", base=BASE
)

HERE = LocalImage(ID, entrypoint=("vllm", "serve"))
READ = Capabilities(vllm_version="0.31.0", vllm_commit="c" * 40, torch_flavour="hip")
PUBLISHED = f"registry.example/slipway/vllm@{DIGEST}"
TO_START = ("docker", "compose", "quadlet", "kubernetes")


def built(**options: object) -> Plan:
    return plan(M2, "mi300x", 8, locked=from_lock(ENTRY, HERE, capabilities=READ), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_names_the_id_of_an_image_that_was_built_here(form: str) -> None:
    assert ID in render(built(), form)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_names_the_digest_of_a_published_image(form: str) -> None:
    made = plan(M2, "mi300x", 8, locked=from_lock(ENTRY, published=PUBLISHED))
    assert PUBLISHED in render(made, form)
    assert "not built yet" not in render(made, form)


@pytest.mark.parametrize("form", TO_START)
def test_a_file_says_that_its_image_is_not_built_yet(form: str) -> None:
    printed = render(plan(M2, "mi300x", 8, locked=from_lock(ENTRY)), form)
    assert ENTRY.name in printed
    assert "# the image slipway/vllm-rocm:0.31.0-0123456789ab is not built yet: `invoke build" in printed


@pytest.mark.parametrize("form", ["quadlet", "kubernetes"])
def test_a_file_for_another_engine_says_how_it_can_pull_the_image(form: str) -> None:
    for image in (from_lock(ENTRY, HERE), from_lock(ENTRY)):
        made = plan(M2, "mi300x", 8, locked=image)
        assert "# other hosts cannot pull this image: `invoke publish`" in render(made, form)
    own = plan(M2, "mi300x", 8, locked=named("rocm", "mine:1", "0.31.0", HERE))
    assert "# other hosts cannot pull this image: push it to a registry" in render(own, form)


def test_a_command_for_several_nodes_says_how_the_others_can_pull_the_image() -> None:
    image = from_lock(replace(ENTRY, platform="cuda"), HERE)
    assert "other hosts cannot pull this image" in render(plan(M2, "h200", 8, 2, locked=image), "docker")
    assert "other hosts cannot pull this image" not in render(built(), "docker")


def test_compose_does_not_pull_an_id() -> None:
    services = yaml.safe_load(render(built(), "compose"))["services"]
    assert (services["server"]["image"], services["server"]["pull_policy"]) == (ID, "never")


def test_the_table_says_which_vllm_commit_channel_and_digest() -> None:
    head = render(built(), "text").splitlines()[1:4]
    assert head[0].split() == (
        f"image {ENTRY.name} (vLLM 0.31.0, commit {'c' * 12}, rocm, channel stable)".split()
    )
    assert head[1].split() == [ID, "(built)"]
    assert head[2].strip() == f"base: {BASE}"


def test_json_has_the_source_of_the_image() -> None:
    source = json.loads(render(built(), "json"))["image_source"]
    assert source == {
        "origin": "built",
        "name": ENTRY.name,
        "digest": ID,
        "id": ID,
        "vllm_commit": "c" * 40,
        "channel": "stable",
        "base": BASE,
        "problem": "",
        "notes": [],
    }


@pytest.mark.parametrize("form", TO_START)
def test_a_format_to_start_refuses_a_tag_that_is_not_resolved(form: str) -> None:
    image = named("rocm", "mine:latest", "0.31.0", problem="no network")
    made = plan(M2, "mi300x", 8, locked=image)
    with pytest.raises(Failed, match="cannot resolve 'mine:latest' to a digest"):
        render(made, form)
    assert "the tag of mine:latest is not resolved to a digest: no network" in render(made, "text")


def test_publishing_an_image_does_not_change_its_plan() -> None:
    published = plan(M2, "mi300x", 8, locked=from_lock(ENTRY, HERE, PUBLISHED, READ))
    assert published.image != built().image
    assert published.digest == built().digest
    assert published.container.mounts == built().container.mounts  # and so the server's cache
