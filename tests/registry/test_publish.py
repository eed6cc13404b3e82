"""`invoke publish` into a real registry: what it leaves there, for whom, and what makes it known-good."""

import base64
import json
from dataclasses import replace

import pytest

from errors import Failed, Refused
from images import capabilities
from images.lock.lockfile import load
from images.publish import promote, publish, referrers, sbom, signing, verify
from images.publish.attestation import beside, opened
from tests.registry.published import CAPABILITIES, TAGS, left, new_key, quiet
from tests.registry.pushed import push
from tests.registry.serving import PASSWORD

pytestmark = pytest.mark.engine


def test_a_published_image_has_its_tags_and_can_be_pulled_by_digest(engine, registry, order):
    asked = order(registry.host)
    done = publish.publish(engine, asked, quiet)
    assert done.tags == TAGS
    assert {registry.client().manifest("slipway/vllm", tag).digest for tag in TAGS} == {done.digest}
    before = engine.images.get(asked.image).id
    engine.images.remove(asked.image, force=True)
    pulled = engine.images.pull(done.image)
    assert pulled.id == before
    assert capabilities.parse(pulled.labels[capabilities.LABEL]) == CAPABILITIES
    engine.images.remove(pulled.id, force=True)


def test_the_second_time_nothing_is_sent(engine, registry, order):
    asked = order(registry.host)
    first = publish.publish(engine, asked, quiet)
    again = publish.publish(engine, asked, quiet)
    assert (first.pushed, again.pushed, again.digest) == (True, False, first.digest)


def test_the_engine_keeps_no_name_of_the_push(engine, registry, order):
    asked = order(registry.host)
    publish.publish(engine, asked, quiet)
    assert engine.images.get(asked.image).tags == [asked.image]


def test_signature_and_provenance_hold_for_the_key_and_for_no_other(engine, registry, order, key, tmp_path):
    done = publish.publish(engine, order(registry.host), quiet)
    client, public = registry.client(), signing.public(key)
    verify.verify(client, "slipway/vllm", done.digest, CAPABILITIES, public)
    other = signing.public(new_key(tmp_path / "other.key"))
    with pytest.raises(Failed, match="not signed by this key"):
        verify.verify(client, "slipway/vllm", done.digest, CAPABILITIES, other)


def test_the_provenance_names_every_input(engine, registry, order):
    done = publish.publish(engine, order(registry.host), quiet)
    envelope, _ = referrers.content(registry.client(), "slipway/vllm", beside(done.digest, "att"))
    said = json.loads(opened(envelope)[0])
    assert said["subject"][0]["digest"]["sha256"] == done.digest.removeprefix("sha256:")
    build = said["predicate"]["buildDefinition"]
    assert build["externalParameters"] == {"platform": "rocm", "lock": "0123456789ab"}
    base = load().platform("rocm").base
    assert build["resolvedDependencies"][0]["digest"]["sha256"] == base.digest.removeprefix("sha256:")


def test_a_signature_for_another_digest_does_not_count(engine, registry, order, key):
    done = publish.publish(engine, order(registry.host), quiet)
    client = registry.client()
    moved = push(client, "slipway/vllm", "other", **{capabilities.LABEL: CAPABILITIES.as_json()})
    payload, notes = referrers.content(client, "slipway/vllm", beside(done.digest, "sig"))
    signed = base64.b64decode(notes["dev.cosignproject.cosign/signature"])
    referrers.signature(client, "slipway/vllm", moved, payload, signed)
    with pytest.raises(Failed, match="not signed by this key"):
        verify.verify(client, "slipway/vllm", moved, CAPABILITIES, signing.public(key))


def test_what_was_published_unsigned_is_signed_once_there_is_a_key(engine, registry, order, key):
    asked = order(registry.host)
    first = publish.publish(engine, replace(asked, key=None), quiet)
    again = publish.publish(engine, asked, quiet)
    assert (again.digest, again.pushed, bool(again.signature)) == (first.digest, False, True)
    verify.verify(registry.client(), "slipway/vllm", first.digest, CAPABILITIES, signing.public(key))


def test_nobody_signs_an_image_that_he_does_not_have(engine, registry, order):
    """The same inputs and contract, published by somebody else without a signature."""
    client = registry.client()
    other = push(client, "slipway/vllm", TAGS[0], **{capabilities.LABEL: CAPABILITIES.as_json()})
    with pytest.raises(Failed, match="is unsigned and not the image that is here"):
        publish.publish(engine, order(registry.host), quiet)
    assert left(client, [beside(other, "sig")]) == []


def test_a_bill_of_materials_is_listed_beside_the_image(engine, registry, order):
    try:
        sbom.program()
    except Failed as error:
        pytest.skip(str(error))
    done = publish.publish(engine, order(registry.host, with_sbom=True), quiet)
    client = registry.client()
    listed = client.manifest("slipway/vllm", beside(done.digest)).json["manifests"]
    assert [entry["artifactType"] for entry in listed] == ["application/spdx+json"]
    text, _ = referrers.content(client, "slipway/vllm", listed[0]["digest"])
    assert json.loads(text)["spdxVersion"].startswith("SPDX-2")


def test_through_tls_with_a_password(engine, locked_registry, order, logged_in):
    logged_in(locked_registry.host)
    url = f"https://{locked_registry.host}"
    done = publish.publish(engine, order(locked_registry.host, urls={locked_registry.host: url}), quiet)
    assert locked_registry.client(PASSWORD, url).manifest("slipway/vllm", TAGS[0]).digest == done.digest


def run_record(path, image, completed=10, failed=0):
    path.write_text(
        json.dumps({"slipway": {"image": image}, "result": {"completed": completed, "failed": failed}})
    )
    return path


def test_a_recorded_run_makes_it_known_good(engine, registry, order, tmp_path):
    asked = order(registry.host)
    record = run_record(tmp_path / "run.json", asked.image)
    with pytest.raises(Failed, match="is not published"):
        promote.promote(engine, asked, record)
    done = publish.publish(engine, asked, quiet)
    promote.promote(engine, asked, record)
    assert registry.client().manifest("slipway/vllm", "rocm-known-good").digest == done.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "slipway/other:1"}, "is a run of slipway/other:1"),
        ({"failed": 3}, "10 requests served, 3 failed"),
        ({"completed": 0}, "0 requests served"),
    ],
)
def test_a_run_that_proves_nothing_promotes_nothing(engine, registry, order, tmp_path, change, said):
    asked = order(registry.host)
    publish.publish(engine, asked, quiet)
    with pytest.raises(Refused, match=said):
        promote.promote(engine, asked, run_record(tmp_path / "run.json", **{"image": asked.image, **change}))
    assert left(registry.client(), ["rocm-known-good"]) == []


def test_a_file_that_is_no_record_is_refused(engine, registry, order, tmp_path):
    with pytest.raises(Refused, match="no recorded run"):
        promote.promote(engine, order(registry.host), tmp_path / "gone.json")


def test_where_to_is_read_as_people_write_it():
    assert publish.target("127.0.0.1:5000") == ("127.0.0.1:5000", "slipway/vllm")
    assert publish.target("registry.example/team/vllm/") == ("registry.example", "team/vllm")
    with pytest.raises(Refused):
        publish.target("slipway/vllm")
