"""The registry's API against Debian's docker-registry on loopback."""

import pytest

from errors import Failed
from images.registry import client as registry_client
from images.registry import copy
from images.registry.manifest import digest_of
from launch.http.client import NotFound
from tests.registry.pushed import LAYER, push, push_list
from tests.registry.serving import PASSWORD


def quiet(done, total, note):
    """Progress that nobody reads."""


def test_a_tag_and_its_digest_are_the_same_manifest(registry):
    client = registry.client()
    digest = push(client, "vllm/x", "v1", color="blue")
    assert client.manifest("vllm/x", "v1").digest == digest
    found = client.manifest("vllm/x", digest)
    assert client.labels("vllm/x", found) == {"color": "blue"}


def test_a_list_leads_to_the_image_of_this_platform(registry):
    client = registry.client()
    amd, arm = push(client, "vllm/x", "amd", LAYER), push(client, "vllm/x", "arm", LAYER + b"!")
    listed = push_list(client, "vllm/x", "v1", {"arm64": arm, "amd64": amd})
    assert client.manifest("vllm/x", "v1").digest == listed
    assert client.resolve("vllm/x", "v1").digest == amd
    assert client.resolve("vllm/x", listed, "linux/arm64").digest == arm
    with pytest.raises(Failed, match="nothing for linux/s390x"):
        client.resolve("vllm/x", "v1", "linux/s390x")


def test_what_is_not_there_is_gone(registry):
    with pytest.raises(NotFound):
        registry.client().manifest("vllm/x", "nightly-123")
    assert not registry.client().has_blob("vllm/x", "sha256:" + "0" * 64)


def test_a_blob_is_sent_once(registry):
    client = registry.client()
    digest = digest_of(LAYER)
    assert client.put_blob("vllm/x", digest, len(LAYER), [LAYER]) is True
    assert client.put_blob("vllm/x", digest, len(LAYER), [LAYER]) is False
    assert b"".join(client.blob("vllm/x", digest)) == LAYER


def test_a_blob_that_rotted_in_the_registry_is_found(registry):
    client = registry.client()
    client.put_blob("vllm/x", digest_of(LAYER), len(LAYER), [LAYER])
    stored = next(p for p in registry.folder.rglob("data") if p.is_file() and p.read_bytes() == LAYER)
    stored.write_bytes(LAYER[:-1] + b"?")
    with pytest.raises(Failed, match="is something else"):
        list(client.blob("vllm/x", digest_of(LAYER)))


def test_a_blob_under_a_wrong_digest_is_not_taken(registry):
    with pytest.raises(Failed):
        registry.client().put_blob("vllm/x", "sha256:" + "0" * 64, len(LAYER), [LAYER])


def test_a_registry_that_does_not_listen_is_named(registry):
    registry.stop()
    with pytest.raises(Failed, match="does not answer") as failed:
        registry.client().manifest("vllm/x", "v1")
    assert registry.host in failed.value.what


def test_an_image_is_copied_by_digest_and_not_twice(registry):
    client, noted = registry.client(), []
    digest = push(client, "up/x", "v1")
    found = client.manifest("up/x", digest)
    assert copy.image(client, "up/x", found, client, "my/x", quiet) == digest
    assert client.manifest("my/x", digest).raw == found.raw
    copy.image(client, "up/x", found, client, "my/x", lambda done, total, note: noted.append(note))
    assert not [note for note in noted if "MB" in note]


def test_a_copy_whose_source_breaks_off_leaves_no_manifest(registry):
    client = registry.client()
    found = client.manifest("up/x", push(client, "up/x", "v1"))
    for blob in registry.folder.rglob("data"):
        if blob.is_file() and blob.read_bytes() == LAYER:
            blob.unlink()
    with pytest.raises(Failed):
        copy.image(client, "up/x", found, client, "my/x", quiet)
    with pytest.raises(NotFound):
        client.manifest("my/x", found.digest)


def test_tls_and_a_password(locked_registry):
    client = locked_registry.client(PASSWORD, f"https://{locked_registry.host}")
    digest = push(client, "vllm/x", "v1")
    assert client.manifest("vllm/x", "v1").digest == digest


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_said_with_the_remedy(locked_registry, password):
    client = locked_registry.client(password, f"https://{locked_registry.host}")
    with pytest.raises(Failed, match="refuses the login") as failed:
        client.manifest("vllm/x", "v1")
    assert failed.value.fix.startswith(f"docker login {locked_registry.host}")


def test_a_certificate_nobody_vouches_for_is_refused(locked_registry, monkeypatch):
    monkeypatch.delenv("SLIPWAY_CA_BUNDLE")
    with pytest.raises(Failed, match="certificate is not trusted"):
        locked_registry.client(PASSWORD, f"https://{locked_registry.host}").manifest("vllm/x", "v1")


def test_the_password_is_the_one_of_docker_login(locked_registry, logged_in):
    logged_in(locked_registry.host)
    client = registry_client.connect(
        locked_registry.host, {locked_registry.host: f"https://{locked_registry.host}"}
    )
    assert PASSWORD not in repr(client)
    push(client, "vllm/x", "v1")
