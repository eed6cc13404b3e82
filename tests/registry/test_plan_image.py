"""The image of the lock from build to plan: by id, by the digest of the user's registry, or refused.

The bases are stand-ins for upstream's images (tests/images/stand_in.py), in a registry on loopback.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from docker.errors import ImageNotFound

from errors import Failed, Refused
from images.build import local_name
from images.lock.lockfile import load
from images.lock.schema import LockedImage
from images.publish import test_results
from images.publish.signing import public_key
from launch.operations import provide_image
from launch.operations.events import Events
from launch.operations.plan_inputs import plan_of
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.images import stand_in
from tests.invocation import Finished, invoke
from tests.registry.published import make_key
from tests.registry.serving import Running

if TYPE_CHECKING:
    from docker import DockerClient

TO_START = ("docker", "compose", "quadlet", "kubernetes")
TP = "single_node_tp"  # the stand-ins accept --tensor-parallel-size and no other option of a layout
MI300X = ("plan", "--hardware", "mi300x", "--gpus", "8", "--strategy", TP)


@pytest.fixture(scope="session")
def base(engine: DockerClient) -> Iterator[str]:
    """The tag of a stand-in for upstream's ROCm image."""
    tag = stand_in.build(engine, load().image("rocm"))
    yield tag
    with suppress(ImageNotFound):  # the tests of images remove theirs, which may be the same
        engine.images.remove(tag)


@pytest.fixture
def upstream(engine: DockerClient, registry: Running, base: str) -> Iterator[str]:
    """The stand-in in the registry, as HOST/vllm/vllm-openai-rocm:v1; the engine keeps only its own tag of it."""
    name = f"{registry.host}/vllm/vllm-openai-rocm"
    engine.images.get(base).tag(name, "v1")
    engine.api.push(name, "v1")
    engine.images.remove(f"{name}:v1")
    yield f"{name}:v1"
    for image in engine.images.list(name):
        for reference in (*image.tags, *image.attrs["RepoDigests"]):
            if reference.startswith(name):  # the stand-in itself stays
                engine.images.remove(reference)


@pytest.fixture
def lock(registry: Running, upstream: str, tmp_path: Path) -> Path:
    """A lock whose only image is a ROCm image on that stand-in."""
    digest = registry.client().manifest("vllm/vllm-openai-rocm", "v1").digest
    pins = {
        "base": {"repository": upstream.rpartition(":")[0], "digest": digest, "source": "a test"},
        "vllm": {"version": load().image("rocm").pins.vllm.version, "source": "inside the base"},
        "python": {"version": "3.12"},
    }
    path = tmp_path / "lock.yaml"
    path.write_text(yaml.safe_dump({"schema": 2, "platforms": {"rocm": {"stable": pins}}}))
    return path


@pytest.fixture
def locked(lock: Path) -> LockedImage:
    """The image of that lock."""
    return load(lock).image("rocm")


@pytest.fixture
def name(engine: DockerClient, locked: LockedImage) -> Iterator[str]:
    """The local name of the locked image, which is removed at the end."""
    name = local_name.reference(locked)
    yield name
    for image in engine.images.list(name):
        engine.images.remove(str(image.id), force=True)


@pytest.fixture
def built(lock: Path, name: str) -> dict[str, Any]:
    """What `invoke build` printed about the image of the lock."""
    built: dict[str, Any] = invoke(
        "build", "--platform", "rocm", "--lock", str(lock), "--format", "json"
    ).json
    assert built["tag"] == name
    return built


@pytest.fixture
def published(
    engine: DockerClient,
    registry: Running,
    lock: Path,
    built: dict[str, Any],
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """The image of the lock in the registry, signed; the engine does not have it any more."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    test_results.record(str(built["id"]), built["tag"], ["test_it"])
    to = ["--to", f"{registry.host}/slipway/vllm", "--key", str(key), "--no-sbom", "--lock", str(lock)]
    done = invoke("publish", "--platform", "rocm", *to, "--format", "json").json
    engine.images.remove(built["tag"], force=True)
    return str(done["image"])


def options(lock: Path, **more: Any) -> PlanOptions:
    return PlanOptions(hardware="mi300x", gpus="8", strategy=TP, lock=str(lock), **more)


def printed(form: str, lock: Path, **env: str) -> Finished:
    return invoke(*MI300X, "--lock", str(lock), "--format", form, **env)


def provide(engine: DockerClient, plan: Plan, wanted: PlanOptions, key: str = "") -> Plan:
    """Provide the plan's image as `run` does, and return the plan with it."""
    provide_image.provide(engine, plan, wanted, key, Events(), background=False)
    return plan_of(wanted, provide_image.image_of(engine, plan, wanted))


def test_every_format_names_the_id_that_build_printed(lock: Path, built: dict[str, Any]) -> None:
    for form in TO_START:
        assert built["id"] in printed(form, lock).ok().out, form
    source = printed("json", lock).json["image_source"]
    assert (source["origin"], source["name"], source["id"]) == ("built", built["tag"], built["id"])
    assert source["vllm_commit"]


def test_an_image_that_is_not_built_is_named_by_its_inputs_and_built_by_run(
    engine: DockerClient, lock: Path, name: str
) -> None:
    text = printed("docker", lock).ok().out
    assert name in text
    assert f"# the image {name} is not built yet: `invoke build --platform rocm` builds it" in text
    plan = plan_of(options(lock))
    started = provide(engine, plan, options(lock))
    assert started.image == engine.images.get(name).id
    assert started.image_source.origin == "built"


def test_the_published_image_is_pulled_by_digest_after_its_signature_was_checked(
    engine: DockerClient, registry: Running, lock: Path, built: dict[str, Any], published: str, key: Path
) -> None:
    setting = {"SLIPWAY_REGISTRY": f"{registry.host}/slipway/vllm"}
    for form in TO_START:
        assert published in printed(form, lock, **setting).ok().out, form
    wanted = options(lock, registry=setting["SLIPWAY_REGISTRY"])
    public = key.with_suffix(".pub")
    public.write_bytes(public_key(key))
    started = provide(engine, plan_of(wanted), wanted, str(public))
    assert (started.image, started.image_source.id) == (published, built["id"])
    registry.stop()  # the image has its local name now, so that no registry is asked for it again
    assert plan_of(wanted).image_source.id == built["id"]


def test_an_image_that_another_key_signed_is_not_pulled(
    engine: DockerClient, registry: Running, lock: Path, name: str, published: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pub"
    other.write_bytes(public_key(make_key(tmp_path / "other.key")))
    wanted = options(lock, registry=f"{registry.host}/slipway/vllm")
    with pytest.raises(Failed, match="is not signed with this key"):
        provide(engine, plan_of(wanted), wanted, str(other))
    assert not engine.images.list(name)
    assert not engine.images.list(published)


def test_a_registry_that_is_down_is_a_note_in_a_plan_and_an_error_in_run(
    engine: DockerClient, lock: Path, name: str
) -> None:
    wanted = options(lock, registry="127.0.0.1:9/slipway/vllm")
    plan = plan_of(wanted)
    assert plan.image == name
    assert any("the image cannot be taken from 127.0.0.1:9/slipway/vllm" in note for note in plan.notes)
    with pytest.raises(Failed, match="this engine does not have the image") as failed:
        provide(engine, plan, wanted)
    assert failed.value.fix == "invoke build --platform rocm"


def test_an_image_with_the_name_and_other_contents_is_refused(
    engine: DockerClient, lock: Path, base: str, name: str
) -> None:
    repository, _, tag = name.partition(":")
    engine.images.get(base).tag(repository, tag)
    found = printed("docker", lock)
    assert found.code == 1
    assert f"'{name}' is not the image that the lock describes" in found.err
    assert "next: invoke build --platform rocm" in found.err
    engine.images.remove(name)


def test_an_image_that_is_removed_after_the_plan_is_built_again(
    engine: DockerClient, lock: Path, built: dict[str, Any]
) -> None:
    plan = plan_of(options(lock))
    engine.images.remove(built["tag"], force=True)
    assert provide(engine, plan, options(lock)).image_source.origin == "built"


def test_a_tag_is_resolved_once_and_pulled_by_its_digest(
    engine: DockerClient, registry: Running, upstream: str
) -> None:
    digest = registry.client().manifest("vllm/vllm-openai-rocm", "v1").digest
    wanted = PlanOptions(hardware="mi300x", gpus="8", strategy=TP, image=upstream, vllm="0.31.0")
    plan = plan_of(wanted)
    assert plan.image == f"{upstream.rpartition(':')[0]}@{digest}"
    assert (plan.image_source.name, plan.image_source.digest) == (upstream, digest)
    moved = registry.client().manifest("vllm/vllm-openai-rocm", "v1")
    registry.client().put_manifest("vllm/vllm-openai-rocm", "v1", moved.raw + b"\n", moved.media_type)
    started = provide(engine, plan, wanted)
    assert started.image == plan.image
    assert started.image_source.id == engine.images.get(plan.image).id
    assert started.image_source.vllm_commit  # read inside the image


def test_run_refuses_an_image_for_another_platform_after_it_was_read(
    engine: DockerClient, upstream: str
) -> None:
    wanted = PlanOptions(hardware="h200", gpus="8", image=upstream)
    plan = plan_of(wanted)
    with pytest.raises(Refused, match=f"'{upstream}' is an image for rocm, not for cuda"):
        provide(engine, plan, wanted)
    with pytest.raises(Refused, match="is an image for rocm"):
        plan_of(wanted)


def test_an_image_that_no_registry_has_can_be_shown_and_not_started(registry: Running) -> None:
    words = ("plan", "--hardware", "mi300x", "--image", f"{registry.host}/none:1", "--format")
    assert "is not resolved to a digest" in invoke(*words, "text").ok().out
    for form in TO_START:
        found = invoke(*words, form)
        assert (found.code, found.out) == (1, "")
        assert f"cannot resolve '{registry.host}/none:1' to a digest" in found.err
        assert f"next: --image {registry.host}/none@sha256:DIGEST" in found.err


def test_a_plan_without_an_engine_names_the_image_of_the_lock(lock: Path, name: str) -> None:
    data = json.loads(printed("json", lock, DOCKER_HOST="unix:///nowhere").ok().out)
    assert (data["image"], data["image_source"]["origin"]) == (name, "not built")
