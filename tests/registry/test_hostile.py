"""A server that is not a registry, or sends invalid replies: each is named, and nothing is pinned to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from errors import Failed
from images.registry.client import Registry
from images.registry.manifest import LISTS, MANIFESTS, digest_of
from tests.invocation import invoke
from tests.registry.hostile import NO_REPLY, Reply, replying
from tests.registry.serving import Running

PAGE = b"<html>please log in</html>"
CONFIG = b'{"config": {"Labels": {"color": "blue"}}}'
TAG = "/v2/vllm/x/manifests/v1"


def image(config: bytes = CONFIG) -> bytes:
    descriptor = {"digest": digest_of(config), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "config": descriptor, "layers": []}).encode()


def list_of(digest: str) -> bytes:
    platform = {"os": "linux", "architecture": "amd64"}
    return json.dumps({"manifests": [{"digest": digest, "platform": platform}]}).encode()


def manifest_reply(body: bytes = b"", promised: int | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(body or image(), MANIFESTS[0], headers=named, promised=promised)


def list_reply(body: bytes) -> Reply:
    return Reply(body, LISTS[0])


def labels(replies: dict[str, Reply]) -> dict[str, str]:
    """Read the labels of tag v1, as `invoke pin` does."""
    with replying(replies) as url:
        registry = Registry("hub", url)
        return registry.labels("vllm/x", registry.resolve("vllm/x", "v1"))


def test_labels_of_a_valid_image() -> None:
    replies = {
        TAG: list_reply(list_of(digest_of(image()))),
        f"/v2/vllm/x/manifests/{digest_of(image())}": manifest_reply(),
        f"/v2/vllm/x/blobs/{digest_of(CONFIG)}": Reply(CONFIG),
    }
    assert labels(replies) == {"color": "blue"}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(PAGE), "vllm/x:v1 is not an image manifest: its type is 'text/html'"),
        (manifest_reply(PAGE), "the document: is not valid JSON"),
        (manifest_reply(image()[:-9]), "the document: is not valid JSON"),
        (manifest_reply(b"[]"), "must be a mapping"),
        (manifest_reply(b'{"layers": []}'), "config: is missing"),
        (manifest_reply(promised=5000), "bytes too early"),
        (manifest_reply(b" " * (5 << 20)), "sends more than 4 MiB"),
        (manifest_reply(Docker_Content_Digest="sha256:" + "2" * 64), "has another content"),
        (list_reply(b"{}"), "manifests: is missing"),
        (list_reply(b'{"manifests": null}'), "manifests: must be a list, not 'None'"),
        (list_reply(b'{"manifests": [{}]}'), "manifests.0.digest: is missing"),
        (list_reply(list_of("sha256:1")), "must be sha256: and 64 hex digits, not 'sha256:1'"),
        (list_reply(list_of(digest_of(b"gone"))), "hub has no vllm/x/manifests/sha256:"),
        (Reply(status=302), "redirects to no valid URL: it has no Location header"),
        (Reply(status=302, headers={"Location": "http://[::1/"}), "redirects to no valid URL"),
        (Reply(status=302, headers={"Location": "file:///etc/passwd"}), "redirects to no valid URL"),
        (Reply(status=302, headers={"Location": TAG}), "redirects more than 5 times"),
        (Reply(b"come back later", status=429), "hub answered 429: come back later"),
        (NO_REPLY, "does not answer: Remote end closed connection"),
        (Reply(status=401, headers={"WWW-Authenticate": "Nonsense"}), "refuses the login: Nonsense"),
        (Reply(status=401, headers={"WWW-Authenticate": 'Bearer realm="token"'}), "is not an http(s) URL"),
    ],
)
def test_labels_explain_an_invalid_reply(reply: Reply, message: str) -> None:
    with pytest.raises(Failed) as error:
        labels({TAG: reply})
    assert message in f"{error.value.what}: {error.value.why}"
    assert "\n" not in error.value.what + error.value.why


def test_labels_refuse_a_list_of_another_image_or_of_a_list() -> None:
    digest = digest_of(image())
    other = manifest_reply(image(b"{}"))
    with pytest.raises(Failed, match="has another content"):
        labels({TAG: list_reply(list_of(digest)), f"/v2/vllm/x/manifests/{digest}": other})
    inner = list_of(digest)
    with pytest.raises(Failed, match="a list inside a list"):
        labels({TAG: list_reply(list_of(digest_of(inner))), "*": list_reply(inner)})


@pytest.mark.parametrize(
    ("config", "message"),
    [(PAGE, "is not valid JSON"), (b'{"config": {"Labels": ["x"]}}', "config.Labels: must be a mapping")],
)
def test_labels_refuse_an_invalid_configuration(config: bytes, message: str) -> None:
    replies = {TAG: manifest_reply(image(config)), f"/v2/vllm/x/blobs/{digest_of(config)}": Reply(config)}
    with pytest.raises(Failed, match="is not an image configuration") as error:
        labels(replies)
    assert message in error.value.why


@pytest.mark.parametrize("token", [PAGE, b"[]", b'{"token": 5}', b"{}", b"[" * 100_000])
def test_labels_refuse_an_invalid_token_service(token: bytes) -> None:
    with replying({"/token": Reply(token)}) as service:
        challenge = Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{service}/token"'})
        with pytest.raises(Failed, match="is not a token service"):
            labels({TAG: challenge})


def test_put_blob_refuses_a_server_without_uploads() -> None:
    replies = {"*": Reply(PAGE), "/v2/vllm/x/blobs/" + digest_of(b"x"): Reply(status=404)}
    with replying(replies) as url, pytest.raises(Failed, match="hub is not a registry") as error:
        Registry("hub", url).put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert error.value.why == "it answers 200 to an upload, without a location"


def test_pin_refuses_the_page_of_a_portal(registry: Running, lock_file: Path) -> None:
    """Pinning a platform of wheels reads no label of its base, so only the manifest's validation fails."""
    before = lock_file.read_bytes()
    with replying({"*": Reply(PAGE)}) as portal:
        words = ("--platform", "cuda", "--channel", "wheel", "--registry", f"{registry.host}={portal}")
        result = invoke("pin", "--lock", str(lock_file), *words)
    assert result.code == 1
    assert "is not an image manifest" in result.err
    assert "Traceback" not in result.err
    assert lock_file.read_bytes() == before
