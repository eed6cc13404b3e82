"""What answers may be no registry: a portal's page, half an answer, something else. Nothing is pinned to it."""

import json

import pytest

from errors import Failed
from images.registry.client import Registry
from images.registry.manifest import LISTS, MANIFESTS, digest_of
from tests.invocation import invoke
from tests.registry.hostile import HANGS_UP, Says, answering

PAGE = b"<html>please log in</html>"
CONFIG = b'{"config": {"Labels": {"color": "blue"}}}'
TAG = "/v2/vllm/x/manifests/v1"


def image(config: bytes = CONFIG) -> bytes:
    about = {"digest": digest_of(config), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "config": about, "layers": []}).encode()


def listing(digest: str) -> bytes:
    return json.dumps(
        {"manifests": [{"digest": digest, "platform": {"os": "linux", "architecture": "amd64"}}]}
    ).encode()


def manifest(body: bytes = b"", **changed: object) -> Says:
    return Says(**{"body": body or image(), "kind": MANIFESTS[0], **changed})


def listed(body: bytes) -> Says:
    return Says(body, LISTS[0])


def labels(answers: dict[str, Says]) -> dict[str, str]:
    """Of tag v1, as `invoke pin` asks for them."""
    with answering(answers) as url:
        there = Registry("hub", url)
        return there.labels("vllm/x", there.resolve("vllm/x", "v1"))


def test_a_registry_that_says_what_is_so_is_believed():
    blob = Says(CONFIG)
    by_digest = {f"/v2/vllm/x/manifests/{digest_of(image())}": manifest()}
    good = {TAG: listed(listing(digest_of(image()))), **by_digest}
    assert labels({**good, f"/v2/vllm/x/blobs/{digest_of(CONFIG)}": blob}) == {"color": "blue"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Says(PAGE), "vllm/x:v1 is no image manifest: its type is 'text/html'"),
        (manifest(PAGE), "the document: is not valid JSON"),
        (manifest(image()[:-9]), "the document: is not valid JSON"),
        (manifest(b"[]"), "must be a mapping"),
        (manifest(b'{"layers": []}'), "config: is missing"),
        (manifest(promised=5000), "bytes too early"),
        (manifest(b" " * (5 << 20)), "sends more than 4 MiB"),
        (manifest(headers={"Docker-Content-Digest": "sha256:" + "2" * 64}), "is something else"),
        (listed(b"{}"), "manifests: is missing"),
        (listed(b'{"manifests": null}'), "manifests: must be a list, not 'None'"),
        (listed(b'{"manifests": [{}]}'), "manifests.0.digest: is missing"),
        (listed(listing("sha256:1")), "must be sha256: and 64 hex digits, not 'sha256:1'"),
        (listed(listing(digest_of(b"gone"))), "hub has no vllm/x/manifests/sha256:"),
        (Says(status=302), "redirects to no valid URL"),
        (Says(status=302, headers={"Location": "http://[::1/"}), "redirects to no valid URL"),
        (Says(status=302, headers={"Location": TAG}), "redirects more than 5 times"),
        (Says(status=302, headers={"Location": "file:///etc/passwd"}), "is not an http(s) URL"),
        (Says(b"come back later", status=429), "hub answered 429: come back later"),
        (HANGS_UP, "does not answer: Remote end closed connection"),
        (Says(status=401, headers={"WWW-Authenticate": "Nonsense"}), "refuses the login: Nonsense"),
        (Says(status=401, headers={"WWW-Authenticate": 'Bearer realm="token"'}), "is not an http(s) URL"),
    ],
)
def test_what_is_no_answer_of_a_registry_is_named(answer, said):
    with pytest.raises(Failed) as failed:
        labels({TAG: answer})
    assert said in f"{failed.value.what}: {failed.value.why}"
    assert "\n" not in failed.value.what + failed.value.why


def test_a_list_that_leads_to_other_bytes_or_to_a_list():
    digest = digest_of(image())
    other = manifest(image(b"{}"))
    with pytest.raises(Failed, match="is something else"):
        labels({TAG: listed(listing(digest)), f"/v2/vllm/x/manifests/{digest}": other})
    inner = listing(digest)
    with pytest.raises(Failed, match="a list inside a list"):
        labels({TAG: listed(listing(digest_of(inner))), "*": listed(inner)})


@pytest.mark.parametrize(
    ("config", "said"),
    [(PAGE, "is not valid JSON"), (b'{"config": {"Labels": ["x"]}}', "config.Labels: must be a mapping")],
)
def test_a_configuration_that_is_none(config, said):
    with pytest.raises(Failed, match="is no image configuration") as failed:
        labels({TAG: manifest(image(config)), f"/v2/vllm/x/blobs/{digest_of(config)}": Says(config)})
    assert said in failed.value.why


@pytest.mark.parametrize("token", [PAGE, b"[]", b'{"token": 5}', b"{}"])
def test_a_token_service_that_gives_none(token):
    with answering({"/token": Says(token)}) as service:
        challenge = Says(status=401, headers={"WWW-Authenticate": f'Bearer realm="{service}/token"'})
        with pytest.raises(Failed, match="is no token service"):
            labels({TAG: challenge})


def test_a_web_server_takes_no_upload():
    with (
        answering({"*": Says(PAGE), "/v2/vllm/x/blobs/" + digest_of(b"x"): Says(status=404)}) as url,
        pytest.raises(Failed, match="hub is no registry") as failed,
    ):
        Registry("hub", url).put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert "takes no upload" in failed.value.why


def test_no_base_is_pinned_to_a_portals_page(registry, lock_file):
    """A wheel's platform needs no label of its base, so nothing but the shape tells."""
    was = lock_file.read_bytes()
    with answering({"*": Says(PAGE)}) as portal:
        words = ("--platform", "cuda-wheel", "--registry", f"{registry.host}={portal}")
        done = invoke("pin", "--lock", str(lock_file), *words)
    assert done.code == 1
    assert "is no image manifest" in done.err
    assert "Traceback" not in done.err
    assert lock_file.read_bytes() == was
