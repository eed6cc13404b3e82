"""The image of a plan is built, or pulled by digest and verified, before a container is created. No engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed, Refused
from images import capabilities
from images.build import pipeline
from images.build.local_name import inputs, reference
from images.lock.lockfile import load
from images.publish import verify
from launch.engine import client as engine_client
from launch.engine import images
from launch.operations import provide_image
from launch.operations.events import Events
from launch.planning.image_choice import from_lock, named
from launch.spec.capabilities import Capabilities
from launch.spec.inputs import Image, LocalImage, LockEntry
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, plan

OPTIONS = PlanOptions(M2)
LOCKED = load().image("cuda")
ID, DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
ENTRY = LockEntry("cuda", "stable", reference(LOCKED), inputs(LOCKED), LOCKED.pins.vllm.version)
MEASURED = Capabilities(vllm_version=LOCKED.pins.vllm.version, torch_flavour="cuda", python="3.12.1")
LABELS = {"slipway.lock": ENTRY.inputs, capabilities.LABEL: MEASURED.as_json()}
PUBLISHED = f"registry.example/slipway/vllm@{DIGEST}"


class Engine:
    """An engine with images by name, which keeps what is pulled, built and tagged in `done`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **labels_of_pulled: str) -> None:
        self.here: dict[str, LocalImage] = {}
        self.labels = labels_of_pulled
        self.done: list[str] = []
        self.images = self
        monkeypatch.setattr(images, "find", lambda client, name: self.here.get(name))
        monkeypatch.setattr(images, "inspect", lambda client, name: self.here.get(name))
        monkeypatch.setattr(images, "pull", lambda client, name, show: self._add("pull", name))
        monkeypatch.setattr(engine_client, "connect", lambda timeout: self)
        monkeypatch.setattr(pipeline, "build", self._build)

    def _add(self, verb: str, name: str) -> None:
        self.done.append(f"{verb} {name}")
        self.here[name] = LocalImage(ID, labels=self.labels)

    def _build(self, client: Any, locked: Any, options: pipeline.BuildOptions, show: Any) -> None:
        self._add("build", reference(locked))

    def get(self, name: str) -> Any:
        tag = lambda repository, tag: self._add("tag", f"{repository}:{tag}")  # noqa: E731
        return SimpleNamespace(labels=self.here[name].labels, tag=tag)


class Recorded(Events):
    """Keep the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def provide(engine: Any, image: Image, key: str = "", events: Events | None = None) -> Plan:
    wanted = plan(M2, "h200", 4, locked=image)
    provide_image.provide(engine, wanted, OPTIONS, key, events or Events(), background=False)
    return wanted


def test_a_missing_image_of_the_lock_is_built_and_then_started_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine: Any = Engine(monkeypatch, **LABELS)
    wanted = provide(engine, from_lock(ENTRY))
    assert engine.done == [f"build {ENTRY.name}"]
    image = provide_image.image_of(engine, wanted, OPTIONS)
    assert (image.reference, image.source.origin, image.capabilities) == (ID, "built", MEASURED)
    provide(engine, from_lock(ENTRY))
    assert len(engine.done) == 1


def test_an_image_is_not_built_while_a_registry_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Engine(monkeypatch)
    with pytest.raises(Failed, match="this engine does not have the image") as failed:
        provide(engine, from_lock(ENTRY, problem="registry.example does not answer"))
    assert (failed.value.why, failed.value.fix) == (
        "registry.example does not answer",
        "invoke build --platform cuda",
    )
    assert engine.done == []


def test_a_published_image_is_verified_pulled_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine: Any = Engine(monkeypatch, **LABELS)
    key = tmp_path / "slipway.pub"
    key.write_text("-----BEGIN PUBLIC KEY-----\n")
    checked = lambda registry, repository, digest, public: engine.done.append(f"verify {digest}")  # noqa: E731
    monkeypatch.setattr(verify, "verify_signed", checked)
    wanted = provide(engine, from_lock(ENTRY, published=PUBLISHED), str(key))
    assert engine.done == [f"verify {DIGEST}", f"pull {PUBLISHED}", f"tag {ENTRY.name}"]
    image = provide_image.image_of(engine, wanted, OPTIONS)
    assert (image.reference, image.source.origin, image.source.id) == (PUBLISHED, "published", ID)


def test_a_published_image_with_other_contents_gets_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Engine(monkeypatch, **{**LABELS, "slipway.lock": "ffffffffffff"})
    with pytest.raises(Failed, match="is not the image that the lock describes") as failed:
        provide(engine, from_lock(ENTRY, published=PUBLISHED))
    assert f"it was built from ffffffffffff, not from {ENTRY.inputs}" in failed.value.why
    assert engine.done == [f"pull {PUBLISHED}"]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read"), ("secret", "is not a public key")])
def test_a_key_that_cannot_be_used_is_refused_before_the_pull(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, message: str
) -> None:
    engine: Any = Engine(monkeypatch)
    if content:
        (tmp_path / "key").write_text(content)
    with pytest.raises(Refused, match=message):
        provide(engine, from_lock(ENTRY, published=PUBLISHED), str(tmp_path / "key"))
    assert engine.done == []


def test_a_named_image_is_pulled_by_digest_and_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    engine: Any = Engine(monkeypatch)
    read = lambda client, image: engine.done.append(f"read {image}") or MEASURED  # noqa: E731
    monkeypatch.setattr(capabilities, "read", read)
    wanted = provide(engine, named("cuda", "org/vllm:v1", "", digest=DIGEST))
    image = provide_image.image_of(engine, wanted, OPTIONS)
    assert (image.reference, image.source.name) == (f"docker.io/org/vllm@{DIGEST}", "org/vllm:v1")
    assert (image.capabilities, image.vllm_version) == (MEASURED, MEASURED.vllm_version)
    provide(engine, named("cuda", "org/vllm:v1", "", digest=DIGEST))
    assert engine.done == [f"pull docker.io/org/vllm@{DIGEST}", f"read {ID}"]


def test_an_image_that_cannot_be_read_is_started_with_a_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    engine: Any = Engine(monkeypatch)
    events = Recorded()
    notes = events.notes

    def fails(client: Any, image: str) -> Capabilities:
        raise Failed("no python3 inside")

    monkeypatch.setattr(capabilities, "read", fails)
    wanted = provide(engine, named("cuda", "org/vllm:v1", "0.32.0", digest=DIGEST), events=events)
    assert notes == ["the options are not checked: Slipway cannot read what the vLLM of org/vllm:v1 accepts"]
    assert provide_image.image_of(engine, wanted, OPTIONS).capabilities is None
    provide(engine, named("cuda", "org/vllm:v1", "0.32.0", digest=DIGEST), events=events)
    assert len(notes) == 1


def test_a_tag_without_a_digest_is_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Engine(monkeypatch)
    with pytest.raises(Failed, match="cannot resolve 'org/vllm:v1' to a digest"):
        provide(engine, named("cuda", "org/vllm:v1", "0.32.0", problem="no network"))
    assert engine.done == []


def test_an_image_that_was_removed_is_not_pulled_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Engine(monkeypatch)
    with pytest.raises(Failed, match="is no longer on this engine"):
        provide(engine, named("cuda", "mine:1", "0.32.0", LocalImage(ID)))
    assert engine.done == []
    built = plan(M2, "h200", 4, locked=from_lock(ENTRY, LocalImage(ID)))
    with pytest.raises(Failed, match="is no longer on this engine"):
        provide_image.image_of(engine, built, OPTIONS)
