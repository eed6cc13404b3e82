"""Publishing to a real registry: the tags, the attachments, and the promotion to known-good."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from errors import Failed, Refused
from images import capabilities
from images.lock.lockfile import load
from images.publish import promote, publish, referrers, sbom, signing, verify
from images.publish.attestation import open_envelope, tag_for
from images.publish.publish import PublishRequest
from launch.bench.record import Outcome, Remark, Server, Validity, json_line
from tests.registry.published import CAPABILITIES, TAGS, existing, ignore, make_key
from tests.registry.pushed import push
from tests.registry.serving import PASSWORD, Running
from tests.unit.launch.bench.records_data import record

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.engine
Request = Callable[..., PublishRequest]
REPOSITORY = "slipway/vllm"


def test_publish_sets_all_tags_and_the_image_can_be_pulled_by_digest(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    request = publish_request(registry.host)
    done = publish.publish(engine, request, ignore)
    assert done.tags == TAGS
    assert {registry.client().manifest(REPOSITORY, tag).digest for tag in TAGS} == {done.digest}
    local_id = engine.images.get(request.image).id
    engine.images.remove(request.image, force=True)
    pulled = engine.images.pull(done.image)
    assert pulled.id == local_id
    assert capabilities.from_labels(pulled.labels) == CAPABILITIES
    engine.images.remove(str(pulled.id), force=True)


def test_publish_again_pushes_nothing(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    request = publish_request(registry.host)
    first = publish.publish(engine, request, ignore)
    again = publish.publish(engine, request, ignore)
    assert (first.pushed, again.pushed, again.digest) == (True, False, first.digest)


def test_publish_leaves_no_tag_on_the_engine(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    request = publish_request(registry.host)
    publish.publish(engine, request, ignore)
    assert engine.images.get(request.image).tags == [request.image]


def test_verify_accepts_the_signing_key_and_no_other(
    engine: DockerClient, registry: Running, publish_request: Request, key: Path, tmp_path: Path
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    client = registry.client()
    verify.verify(client, REPOSITORY, done.digest, CAPABILITIES, signing.public_key(key))
    other = signing.public_key(make_key(tmp_path / "other.key"))
    with pytest.raises(Failed, match="not signed with this key"):
        verify.verify(client, REPOSITORY, done.digest, CAPABILITIES, other)


def test_verify_refuses_an_image_with_other_capabilities(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    expected = replace(CAPABILITIES, vllm_version="0.22.0")
    with pytest.raises(Failed, match="other capabilities") as failed:
        verify.verify(registry.client(), REPOSITORY, done.digest, expected, None)
    assert failed.value.why == "vLLM is 0.21.0rc1+rocm722 there, 0.22.0 here"


def test_provenance_names_the_inputs(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    envelope, _ = referrers.content(registry.client(), REPOSITORY, tag_for(done.digest, "att"))
    statement = json.loads(open_envelope(envelope)[0])
    assert statement["subject"][0]["digest"]["sha256"] == done.digest.removeprefix("sha256:")
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"] == {"platform": "rocm", "channel": "nightly", "lock": "0123456789ab"}
    base = load().image("rocm", "nightly").pins.base
    assert build["resolvedDependencies"][0]["digest"]["sha256"] == base.digest.removeprefix("sha256:")


def test_verify_refuses_the_signature_of_another_digest(
    engine: DockerClient, registry: Running, publish_request: Request, key: Path
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    client = registry.client()
    other = push(client, REPOSITORY, "other", **{capabilities.LABEL: CAPABILITIES.as_json()})
    payload, annotations = referrers.content(client, REPOSITORY, tag_for(done.digest, "sig"))
    signature = base64.b64decode(annotations[referrers.SIGNATURE])
    referrers.attach_signature(client, REPOSITORY, other, payload, signature)
    with pytest.raises(Failed, match="not signed with this key"):
        verify.verify(client, REPOSITORY, other, CAPABILITIES, signing.public_key(key))


def test_publish_with_a_key_signs_an_image_that_was_published_unsigned(
    engine: DockerClient, registry: Running, publish_request: Request, key: Path
) -> None:
    request = publish_request(registry.host)
    first = publish.publish(engine, replace(request, key=None), ignore)
    again = publish.publish(engine, request, ignore)
    assert (again.digest, again.pushed, bool(again.signature)) == (first.digest, False, True)
    public = signing.public_key(key)
    verify.verify(registry.client(), REPOSITORY, first.digest, CAPABILITIES, public)


def test_publish_does_not_sign_another_image_of_the_same_inputs(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    client = registry.client()
    other = push(client, REPOSITORY, TAGS[0], **{capabilities.LABEL: CAPABILITIES.as_json()})
    with pytest.raises(Failed, match="is unsigned and differs from the local image"):
        publish.publish(engine, publish_request(registry.host), ignore)
    assert existing(client, [tag_for(other, "sig")]) == []


def test_publish_lists_the_sbom_as_a_referrer(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    try:
        sbom.program()
    except Failed as error:
        pytest.skip(str(error))
    done = publish.publish(engine, publish_request(registry.host, with_sbom=True), ignore)
    client = registry.client()
    listed = client.manifest(REPOSITORY, tag_for(done.digest)).json["manifests"]
    assert [entry["artifactType"] for entry in listed] == ["application/spdx+json"]
    text, _ = referrers.content(client, REPOSITORY, listed[0]["digest"])
    assert json.loads(text)["spdxVersion"].startswith("SPDX-2")


def test_publish_works_with_tls_and_a_password(
    engine: DockerClient,
    locked_registry: Running,
    publish_request: Request,
    logged_in: Callable[..., None],
) -> None:
    logged_in(locked_registry.host)
    url = f"https://{locked_registry.host}"
    request = publish_request(locked_registry.host, urls={locked_registry.host: url})
    done = publish.publish(engine, request, ignore)
    assert locked_registry.client(PASSWORD, url).manifest(REPOSITORY, TAGS[0]).digest == done.digest


def benchmark(path: Path, image: str, outcome: Outcome = "good") -> Path:
    """Write the record of a benchmark."""
    server = Server(name="s", start_id="x", model="m", image=image)
    remark = Remark(rule="all answered", outcome=outcome, sentence="7 of 10 requests were answered")
    path.write_text(json_line(record(server=server, validity=Validity(outcome=outcome, remarks=(remark,)))))
    return path


def test_promote_tags_the_published_image_known_good(
    engine: DockerClient, registry: Running, publish_request: Request, tmp_path: Path
) -> None:
    request = publish_request(registry.host)
    run = benchmark(tmp_path / "run.json", request.image)
    with pytest.raises(Failed, match="is not published"):
        promote.promote(engine, request, run)
    done = publish.publish(engine, request, ignore)
    promote.promote(engine, request, run)
    assert registry.client().manifest(REPOSITORY, "rocm-nightly-known-good").digest == done.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "slipway/other:1"}, "is a benchmark of slipway/other:1"),
        ({"outcome": "void"}, "7 of 10 requests were answered"),
    ],
)
def test_promote_refuses_a_benchmark_of_another_image_or_with_failures(
    engine: DockerClient,
    registry: Running,
    publish_request: Request,
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    request = publish_request(registry.host)
    publish.publish(engine, request, ignore)
    run = benchmark(tmp_path / "run.json", **{"image": request.image, **change})
    with pytest.raises(Refused, match=message):
        promote.promote(engine, request, run)
    assert existing(registry.client(), ["rocm-nightly-known-good"]) == []


def test_promote_refuses_a_missing_benchmark(
    engine: DockerClient, registry: Running, publish_request: Request, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="is not a benchmark result or an acceptance report"):
        promote.promote(engine, publish_request(registry.host), tmp_path / "missing.json")


def test_parse_target_adds_the_default_repository() -> None:
    assert publish.parse_target("127.0.0.1:5000") == ("127.0.0.1:5000", "slipway/vllm")
    assert publish.parse_target("registry.example/team/vllm/") == ("registry.example", "team/vllm")
    with pytest.raises(Refused):
        publish.parse_target("slipway/vllm")
