"""What a plan learns about an image from a registry: the digest of a tag, the published image, its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errors import Failed
from images.build.local_name import inputs
from images.capabilities import LABEL
from images.lock.lockfile import load
from images.publish import attestation, referrers, signing
from images.publish.verify import verify_signed
from images.registry.client import Registry
from launch.operations import plan_image
from launch.operations.plan_inputs import plan_of
from launch.render import render
from launch.spec.capabilities import Capabilities
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.registry.published import make_key
from tests.registry.pushed import push, push_list
from tests.registry.serving import Running

TO_START = ("docker", "compose", "quadlet", "kubernetes")
LOCKED = load().image("rocm")
INSIDE = Capabilities(
    vllm_version=LOCKED.pins.vllm.version, vllm_commit="c" * 40, torch_flavour="hip", python="3.12.13"
)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of this host has none of these images, whatever it has."""
    monkeypatch.setattr(plan_image, "_engine", lambda: None)


def made(**options: Any) -> Plan:
    return plan_of(PlanOptions(hardware="mi300x", gpus="8", **options))


def published(client: Registry, **changed: str) -> str:
    """Push an image with the labels of the lock's ROCm image, except for `changed`; return its digest."""
    labels = {LABEL: INSIDE.as_json(), "slipway.lock": inputs(LOCKED), **changed}
    return push(client, "slipway/vllm", f"{LOCKED.name}-lock-{inputs(LOCKED)}", **labels)


def test_a_tag_is_resolved_to_its_digest_in_every_format(registry: Running) -> None:
    digest = push(registry.client(), "org/vllm", "v1")
    asked = f"{registry.host}/org/vllm:v1"
    plan = made(image=asked, vllm="0.31.0")
    assert (plan.image, plan.image_source.name) == (f"{registry.host}/org/vllm@{digest}", asked)
    for form in TO_START:
        assert plan.image in render(plan, form)


def test_a_tag_of_a_list_is_resolved_to_the_list(registry: Running) -> None:
    client = registry.client()
    listed = push_list(client, "org/vllm", "all", {"amd64": push(client, "org/vllm", "v1")})
    assert made(image=f"{registry.host}/org/vllm:all").image_source.digest == listed


def test_a_tag_that_does_not_exist_is_a_note(registry: Running) -> None:
    plan = made(image=f"{registry.host}/org/vllm:none")
    assert any("is not resolved to a digest" in note for note in plan.notes)
    with pytest.raises(Failed, match="cannot resolve"):
        render(plan, "docker")


def test_the_published_image_of_the_lock_is_named_by_digest(registry: Running) -> None:
    digest = published(registry.client())
    plan = made(registry=f"{registry.host}/slipway/vllm")
    assert plan.image == f"{registry.host}/slipway/vllm@{digest}"
    assert (plan.image_source.origin, plan.image_source.vllm_commit) == ("published", "c" * 40)
    for form in TO_START:
        assert plan.image in render(plan, form)


def test_a_registry_without_the_image_leaves_it_to_be_built(registry: Running) -> None:
    plan = made(registry=registry.host)
    assert (plan.image_source.origin, plan.image_source.problem) == ("not built", "")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"slipway.lock": "ffffffffffff"}, "it was built from ffffffffffff"),
        ({LABEL: Capabilities(vllm_version="0.1.0").as_json()}, "vLLM is 0.1.0, the lock has"),
        ({LABEL: ""}, "it has no label with its capabilities"),
    ],
)
def test_a_published_image_with_other_labels_is_not_used(
    registry: Running, changed: dict[str, str], why: str
) -> None:
    published(registry.client(), **changed)
    plan = made(registry=f"{registry.host}/slipway/vllm")
    assert plan.image_source.origin == "not built"
    assert why in plan.image_source.problem


def test_a_registry_that_does_not_answer_is_a_note() -> None:
    plan = made(registry="127.0.0.1:9/slipway/vllm")
    assert plan.image_source.origin == "not built"
    assert "the image cannot be taken from 127.0.0.1:9/slipway/vllm" in plan.image_source.problem


def sign(client: Registry, digest: str, key: Path) -> None:
    """Attach a signature and a provenance as `invoke publish` does."""
    target = f"{client.host}/slipway/vllm"
    payload = attestation.simple_signing(target, digest)
    referrers.attach_signature(client, "slipway/vllm", digest, payload, signing.sign(key, payload))
    statement = attestation.statement(target, digest, LOCKED, inputs(LOCKED), "")
    envelope = attestation.envelope(statement, signing.sign(key, attestation.to_be_signed(statement)))
    referrers.attach_provenance(client, "slipway/vllm", digest, envelope)


def test_a_signature_is_checked_against_the_public_key(registry: Running, key: Path, tmp_path: Path) -> None:
    client = registry.client()
    digest = published(client)
    public = signing.public_key(key)
    with pytest.raises(Failed, match="is not signed") as failed:
        verify_signed(client, "slipway/vllm", digest, public)
    assert failed.value.why == "the registry has no signature for it"
    sign(client, digest, key)
    verify_signed(client, "slipway/vllm", digest, public)
    other = signing.public_key(make_key(tmp_path / "other.key"))
    with pytest.raises(Failed, match="is not signed with this key"):
        verify_signed(client, "slipway/vllm", digest, other)
