"""`invoke publish` into a real registry: what it leaves there, and what it leaves when something goes wrong."""

import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from datetime import date

import pytest

from errors import Failed, Refused
from images import address, attaching, consumer, contract, promotion, publish, sbom, signing, tested
from images.attestation import beside
from images.lock import load
from images.registry import Registry
from images.transport import Gone
from tests.registry.conftest import PASSWORD, running
from tests.registry.pushed import LAYER, push

pytestmark = pytest.mark.engine
CONTRACT = contract.Contract(
    python="3.12.13", torch_flavour="hip", vllm_version="0.21.0rc1+rocm722", vllm_commit="d801ae8c2650"
)
TAGS = (
    "rocm-lock-0123456789ab",
    "rocm-vllm0.21.0rc1_rocm722-gd801ae8c2",
    "rocm-20261123",
    "rocm-candidate",
)


def quiet(done, total, note):
    """Progress that nobody reads."""


def small_image(engine, tag: str, size: int = 1000) -> str:
    """An image of one incompressible layer that carries a contract, and no more."""
    payload, context = os.urandom(size), io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM scratch\nCOPY payload /payload\n"), ("payload", payload)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    context.seek(0)
    labels = {contract.LABEL: CONTRACT.as_json(), "slipway.base": "stand-in"}
    image, _ = engine.images.build(fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True)
    return image.id


@pytest.fixture
def tag(engine, request):
    """The name of a small image, taken away afterwards."""
    name = f"slipway/stand-in-published:{abs(hash(request.node.name)):x}"
    yield name
    for image in engine.images.list(name):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "slipway.key"
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
    subprocess.run(words, capture_output=True, check=True)
    path.chmod(0o600)
    return path


@pytest.fixture
def order(engine, tag, key, tmp_path, monkeypatch):
    """An order for a tested image to some host: `order(registry.host)`."""
    monkeypatch.setattr(tested, "FOLDER", tmp_path / "tested")

    def made(host: str, size: int = 1000, **changed) -> publish.Order:
        tested.record(small_image(engine, tag, size), tag, ["test_it"])
        about = publish.Order(
            name="rocm",
            platform=load().platform("rocm"),
            image=tag,
            inputs="0123456789ab",
            host=host,
            repository="slipway/vllm",
            today=date(2026, 11, 23),
            key=key,
            with_sbom=False,
        )
        return replace(about, **changed)

    return made


def left(client: Registry, tags=TAGS) -> list[str]:
    """Which of the tags exist."""
    found = []
    for tag in tags:
        try:
            client.manifest("slipway/vllm", tag)
            found.append(tag)
        except Gone:
            pass
    return found


def test_a_published_image_has_its_tags_and_can_be_pulled_by_digest(engine, registry, order):
    asked = order(registry.host)
    done = publish.publish(engine, asked, quiet)
    assert done.tags == TAGS
    assert {registry.client().manifest("slipway/vllm", tag).digest for tag in TAGS} == {done.digest}
    before = engine.images.get(asked.image).id
    engine.images.remove(asked.image, force=True)
    pulled = engine.images.pull(done.image)
    assert pulled.id == before
    assert contract.parse(pulled.labels[contract.LABEL]) == CONTRACT
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


def test_an_untested_image_is_refused(engine, registry, order, tmp_path):
    asked = order(registry.host)
    for record in (tmp_path / "tested").iterdir():
        record.unlink()
    with pytest.raises(Refused, match="was not tested"):
        publish.publish(engine, asked, quiet)
    assert left(registry.client()) == []


def test_signature_and_provenance_hold_for_the_key_and_for_no_other(engine, registry, order, key, tmp_path):
    done = publish.publish(engine, order(registry.host), quiet)
    client, public = registry.client(), signing.public(key)
    consumer.verify(client, "slipway/vllm", done.digest, CONTRACT, public)
    other = tmp_path / "other.key"
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(other)]
    subprocess.run(words, capture_output=True, check=True)
    other.chmod(0o600)
    with pytest.raises(Failed, match="not signed by this key"):
        consumer.verify(client, "slipway/vllm", done.digest, CONTRACT, signing.public(other))


def test_the_provenance_names_every_input(engine, registry, order):
    done = publish.publish(engine, order(registry.host), quiet)
    envelope, _ = attaching.content(registry.client(), "slipway/vllm", beside(done.digest, "att"))
    from images.attestation import opened

    said = json.loads(opened(envelope)[0])
    assert said["subject"][0]["digest"]["sha256"] == done.digest.removeprefix("sha256:")
    build = said["predicate"]["buildDefinition"]
    assert build["externalParameters"] == {"platform": "rocm", "lock": "0123456789ab"}
    base = load().platform("rocm").base
    assert build["resolvedDependencies"][0]["digest"]["sha256"] == base.digest.removeprefix("sha256:")


def test_a_signature_for_another_digest_does_not_count(engine, registry, order, key):
    done = publish.publish(engine, order(registry.host), quiet)
    client = registry.client()
    moved = push(client, "slipway/vllm", "other", **{contract.LABEL: CONTRACT.as_json()})
    payload, notes = attaching.content(client, "slipway/vllm", beside(done.digest, "sig"))
    import base64

    signed = base64.b64decode(notes["dev.cosignproject.cosign/signature"])
    attaching.signature(client, "slipway/vllm", moved, payload, signed)
    with pytest.raises(Failed, match="not signed by this key"):
        consumer.verify(client, "slipway/vllm", moved, CONTRACT, signing.public(key))


def test_a_bill_of_materials_is_listed_beside_the_image(engine, registry, order):
    try:
        sbom.program()
    except Failed as error:
        pytest.skip(str(error))
    done = publish.publish(engine, order(registry.host, with_sbom=True), quiet)
    client = registry.client()
    listed = client.manifest("slipway/vllm", beside(done.digest)).json["manifests"]
    assert [entry["artifactType"] for entry in listed] == ["application/spdx+json"]
    text, _ = attaching.content(client, "slipway/vllm", listed[0]["digest"])
    assert json.loads(text)["spdxVersion"].startswith("SPDX-2")


def test_through_tls_with_a_password(engine, locked_registry, order, logged_in):
    logged_in(locked_registry.host)
    url = f"https://{locked_registry.host}"
    done = publish.publish(engine, order(locked_registry.host, urls={locked_registry.host: url}), quiet)
    assert locked_registry.client(PASSWORD, url).manifest("slipway/vllm", TAGS[0]).digest == done.digest


def test_a_wrong_password_publishes_nothing(engine, locked_registry, order, logged_in):
    logged_in(locked_registry.host, "wrong")
    url = f"https://{locked_registry.host}"
    with pytest.raises(Failed) as failed:
        publish.publish(engine, order(locked_registry.host, urls={locked_registry.host: url}), quiet)
    assert "docker login" in failed.value.fix
    assert "wrong" not in str(failed.value).replace("request was wrong", "")
    assert left(locked_registry.client(PASSWORD, url)) == []


@pytest.mark.slow  # the engine tries five times, 50 s in all
def test_a_registry_that_goes_away_in_the_middle(engine, registry, order, monkeypatch):
    def gone(done, total, note):
        if "Pushing" in note:
            registry.stop()

    with pytest.raises(Failed):
        publish.publish(engine, order(registry.host, size=30_000_000), gone)


def test_a_registry_that_goes_away_after_the_push(engine, registry, order):
    def gone(done, total, note):
        if note == "reading it back":
            registry.stop()

    with pytest.raises(Failed, match="does not answer"):
        publish.publish(engine, order(registry.host), gone)


@pytest.mark.slow  # the same
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_registry_whose_disk_is_full(engine, binary, order, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this host lets nobody mount a tmpfs")
    try:
        with running(binary, small) as full:
            with pytest.raises(Failed, match=r"push failed|without a digest"):
                publish.publish(engine, order(full.host, size=8_000_000), quiet)
            assert left(full.client()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_error_record_in_the_stream_is_a_failure():
    with pytest.raises(Failed, match="push failed") as failed:
        publish._digest([{"status": "Pushing"}, {"error": "denied: 401 unauthorized"}], quiet)
    assert failed.value.fix == "docker login to that registry"
    with pytest.raises(Failed, match="without a digest"):
        publish._digest([{"status": "Pushed"}], quiet)


def test_who_comes_second_with_another_image_says_so(engine, registry, order):
    """Between the first look and the tags, somebody else published from the same inputs."""
    client = registry.client()

    def other(done, total, note):
        if note == "reading it back":
            push(client, "slipway/vllm", TAGS[0], LAYER)

    with pytest.raises(Failed, match="another publisher was first"):
        publish.publish(engine, order(registry.host), other)
    assert left(client) == [TAGS[0]]


def test_a_tag_that_is_moved_at_once_is_noticed(engine, registry, order, monkeypatch):
    client, put = registry.client(), Registry.put_manifest

    def raced(self, repository, reference, raw, media_type):
        digest = put(self, repository, reference, raw, media_type)
        if reference == TAGS[1]:
            monkeypatch.setattr(Registry, "put_manifest", put)
            push(client, "slipway/vllm", TAGS[1], LAYER)
        return digest

    monkeypatch.setattr(Registry, "put_manifest", raced)
    with pytest.raises(Failed, match="was moved by another publisher"):
        publish.publish(engine, order(registry.host), quiet)
    assert "rocm-candidate" not in left(client)


def test_a_published_image_that_lost_a_layer_is_found(engine, registry, order):
    asked = order(registry.host)
    done = publish.publish(engine, asked, quiet)
    layer = registry.client().manifest("slipway/vllm", done.digest).json["layers"][0]["digest"].split(":")[1]
    for link in registry.folder.glob(f"data/docker/registry/v2/repositories/*/*/_layers/sha256/{layer}/link"):
        link.unlink()
    for data in registry.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{layer}/data"):
        data.unlink()
    with pytest.raises(Failed, match="lacks blob"):
        publish.publish(engine, asked, quiet)


def run_record(path, image, completed=10, failed=0):
    path.write_text(
        json.dumps({"slipway": {"image": image}, "result": {"completed": completed, "failed": failed}})
    )
    return path


def test_a_recorded_run_makes_it_known_good(engine, registry, order, tmp_path):
    asked = order(registry.host)
    record = run_record(tmp_path / "run.json", asked.image)
    with pytest.raises(Failed, match="is not published"):
        promotion.promote(engine, asked, record)
    done = publish.publish(engine, asked, quiet)
    promotion.promote(engine, asked, record)
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
        promotion.promote(
            engine, asked, run_record(tmp_path / "run.json", **{"image": asked.image, **change})
        )
    assert left(registry.client(), ["rocm-known-good"]) == []


def test_a_file_that_is_no_record_is_refused(engine, registry, order, tmp_path):
    with pytest.raises(Refused, match="no recorded run"):
        promotion.promote(engine, order(registry.host), tmp_path / "gone.json")


def test_where_to_is_read_as_people_write_it():
    assert publish.target("127.0.0.1:5000") == ("127.0.0.1:5000", "slipway/vllm")
    assert publish.target("registry.example/team/vllm/") == ("registry.example", "team/vllm")
    with pytest.raises(Refused):
        publish.target("slipway/vllm")


def test_docker_hub_and_plain_hosts_are_told_apart():
    assert address.split("python:3.12-slim") == ("docker.io", "library/python", "3.12-slim")
    assert address.split("docker.io/rocm/vllm-dev@sha256:1") == ("docker.io", "rocm/vllm-dev", "sha256:1")
    assert address.split("127.0.0.1:5000/x:1") == ("127.0.0.1:5000", "x", "1")
    assert address.url_of("127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert address.url_of("registry.example") == "https://registry.example"
