"""The registry client with Debian's docker-registry on loopback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import Failed
from images.registry import client as registry_client
from images.registry import copy
from images.registry.manifest import digest_of
from launch.http.client import NotFound
from tests.registry.pushed import LAYER, push, push_list
from tests.registry.serving import PASSWORD, Running


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


def test_manifest_by_tag_and_by_digest_is_the_same(registry: Running) -> None:
    client = registry.client()
    digest = push(client, "vllm/x", "v1", color="blue")
    assert client.manifest("vllm/x", "v1").digest == digest
    manifest = client.manifest("vllm/x", digest)
    assert client.labels("vllm/x", manifest) == {"color": "blue"}


def test_resolve_follows_a_list_to_the_platforms_image(registry: Running) -> None:
    client = registry.client()
    amd, arm = push(client, "vllm/x", "amd", LAYER), push(client, "vllm/x", "arm", LAYER + b"!")
    listed = push_list(client, "vllm/x", "v1", {"arm64": arm, "amd64": amd})
    assert client.manifest("vllm/x", "v1").digest == listed
    assert client.resolve("vllm/x", "v1").digest == amd
    assert client.resolve("vllm/x", listed, "linux/arm64").digest == arm
    with pytest.raises(Failed, match="nothing for linux/s390x"):
        client.resolve("vllm/x", "v1", "linux/s390x")


def test_a_missing_manifest_or_blob_is_not_found(registry: Running) -> None:
    with pytest.raises(NotFound):
        registry.client().manifest("vllm/x", "nightly-123")
    assert not registry.client().has_blob("vllm/x", "sha256:" + "0" * 64)


def test_put_blob_sends_a_blob_once(registry: Running) -> None:
    client = registry.client()
    digest = digest_of(LAYER)
    assert client.put_blob("vllm/x", digest, len(LAYER), [LAYER]) is True
    assert client.put_blob("vllm/x", digest, len(LAYER), [LAYER]) is False
    assert b"".join(client.blob("vllm/x", digest)) == LAYER


def test_blob_fails_for_content_that_changed_in_the_registry(registry: Running) -> None:
    client = registry.client()
    client.put_blob("vllm/x", digest_of(LAYER), len(LAYER), [LAYER])
    stored = next(p for p in registry.folder.rglob("data") if p.is_file() and p.read_bytes() == LAYER)
    stored.write_bytes(LAYER[:-1] + b"?")
    with pytest.raises(Failed, match="has another content"):
        list(client.blob("vllm/x", digest_of(LAYER)))


def test_put_blob_fails_for_a_wrong_digest(registry: Running) -> None:
    with pytest.raises(Failed):
        registry.client().put_blob("vllm/x", "sha256:" + "0" * 64, len(LAYER), [LAYER])


def test_a_registry_that_does_not_listen_is_named(registry: Running) -> None:
    registry.stop()
    with pytest.raises(Failed, match="does not answer") as error:
        registry.client().manifest("vllm/x", "v1")
    assert registry.host in error.value.what


def test_copy_sends_an_image_once(registry: Running) -> None:
    client, notes = registry.client(), list[str]()
    digest = push(client, "up/x", "v1")
    manifest = client.manifest("up/x", digest)
    assert copy.image(client, "up/x", manifest, client, "my/x", ignore) == digest
    assert client.manifest("my/x", digest).raw == manifest.raw
    copy.image(client, "up/x", manifest, client, "my/x", lambda done, total, note: notes.append(note))
    assert not [note for note in notes if "MB" in note]


def test_copy_stores_no_manifest_if_the_source_fails(registry: Running) -> None:
    client = registry.client()
    manifest = client.manifest("up/x", push(client, "up/x", "v1"))
    for blob in registry.folder.rglob("data"):
        if blob.is_file() and blob.read_bytes() == LAYER:
            blob.unlink()
    with pytest.raises(Failed):
        copy.image(client, "up/x", manifest, client, "my/x", ignore)
    with pytest.raises(NotFound):
        client.manifest("my/x", manifest.digest)


def test_manifest_with_tls_and_a_password(locked_registry: Running) -> None:
    client = locked_registry.client(PASSWORD, f"https://{locked_registry.host}")
    digest = push(client, "vllm/x", "v1")
    assert client.manifest("vllm/x", "v1").digest == digest


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_explained(locked_registry: Running, password: str) -> None:
    client = locked_registry.client(password, f"https://{locked_registry.host}")
    with pytest.raises(Failed, match="refuses the login") as error:
        client.manifest("vllm/x", "v1")
    assert error.value.fix.startswith(f"docker login {locked_registry.host}")


def test_an_untrusted_certificate_is_refused(
    locked_registry: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIPWAY_CA_BUNDLE")
    with pytest.raises(Failed, match="certificate is not trusted"):
        locked_registry.client(PASSWORD, f"https://{locked_registry.host}").manifest("vllm/x", "v1")


def test_connect_uses_the_login_of_docker(locked_registry: Running, logged_in: Callable[..., None]) -> None:
    logged_in(locked_registry.host)
    client = registry_client.connect(
        locked_registry.host, {locked_registry.host: f"https://{locked_registry.host}"}
    )
    assert PASSWORD not in repr(client)
    push(client, "vllm/x", "v1")
