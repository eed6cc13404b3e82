"""Every operation that sends requests, behind a proxy with a password: one table, with real sockets."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace

import pytest

from errors import Failed
from images.capabilities import LABEL
from images.lock import wheel_index
from images.lock.lockfile import load
from images.publish import publish as publishing
from images.publish import test_results
from images.registry.client import Registry
from launch.http.url import public
from launch.spec.capabilities import Capabilities
from tests.http.conftest import COMMIT, HUB, MODEL, REGISTRY, WHEELS, Servers
from tests.http.proxy import PASSWORD, QUOTED
from tests.invocation import Finished, invoke
from tests.registry.pushed import LAYER, push

Operation = Callable[[Servers, str], str]  # with the URL of the server; returns the error message, or nothing


def message(result: Finished) -> str:
    assert result.code in (0, 1), result.err
    return result.err if result.code else ""


def fetch(servers: Servers, url: str) -> str:
    words = ("fetch", MODEL, "--cache", str(servers.folder / "cache"))
    return message(invoke(*words, HF_ENDPOINT=url, HF_TOKEN="hf_right"))


def login(servers: Servers, url: str) -> str:
    token = servers.folder / "token"
    token.write_text("hf_right")
    return message(invoke("login", "--token-file", str(token), HF_ENDPOINT=url))


def pin(servers: Servers, url: str) -> str:
    return message(invoke("pin", "--lock", str(servers.lock), "--registry", f"{REGISTRY}={url}"))


def mirror(servers: Servers, url: str) -> str:
    words = ("pin", "--lock", str(servers.lock), "--registry", f"{REGISTRY}={url}")
    return message(invoke(*words, "--mirror", f"{REGISTRY}/{secrets.token_hex(8)}"))


def find_wheel(servers: Servers, url: str) -> str:
    try:
        assert wheel_index.find(url, COMMIT).version == "1.0"
    except Failed as error:
        return str(error)
    return ""


def publish(servers: Servers, url: str) -> str:
    """Sign and tag an image that the engine has pushed; the push itself goes through the engine's own proxy."""
    capabilities, repository = Capabilities(vllm_version="0.30.0"), f"slipway/{secrets.token_hex(8)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(servers.certificate))
        registry = Registry(REGISTRY, servers.loopback_url(REGISTRY))
        push(registry, repository, "rocm-lock-0123456789ab", LAYER, **{LABEL: capabilities.as_json()})
        config = registry.manifest(repository, "rocm-lock-0123456789ab").json["config"]["digest"]
    image = SimpleNamespace(id=config, labels={LABEL: capabilities.as_json()})
    servers.monkeypatch.setattr(publishing, "find", lambda client, reference: image)
    test_results.record(config, "slipway", ["test"])
    key = servers.folder / "key.pem"
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(words, capture_output=True, check=True)
    request = publishing.PublishRequest(
        locked=load().image("rocm"),
        image="slipway",
        inputs="0123456789ab",
        host=REGISTRY,
        repository=repository,
        today=date(2026, 11, 23),
        key=key,
        with_sbom=False,
        urls={REGISTRY: url},
    )
    try:
        published = publishing.publish(None, request, lambda done, total, note: None)  # type: ignore[arg-type]
    except Failed as error:
        return str(error)
    assert published.signature
    return ""


OPERATIONS = {fetch: HUB, login: HUB, pin: REGISTRY, mirror: REGISTRY, find_wheel: WHEELS, publish: REGISTRY}
every_operation = pytest.mark.parametrize(
    ("operation", "host"), OPERATIONS.items(), ids=[operation.__name__ for operation in OPERATIONS]
)


@every_operation
def test_operation_sends_the_login_to_the_proxy(operation: Operation, host: str, servers: Servers) -> None:
    servers.use(servers.proxy.url())
    assert operation(servers, servers.url(host)) == ""
    assert servers.proxy.requests
    assert not servers.proxy.refused
    for method, target in servers.proxy.requests:
        if servers.scheme == "https":
            assert (method, target) == ("CONNECT", f"{host}:443")
        else:
            assert target.startswith(f"http://{host}/")


@every_operation
def test_operation_explains_that_the_proxy_refuses_the_login(
    operation: Operation, host: str, servers: Servers
) -> None:
    servers.use(servers.proxy.url("wrong"))
    error = operation(servers, servers.url(host))
    port = servers.proxy.port
    assert f"the proxy 127.0.0.1:{port} refuses the login" in error
    assert f"next: set {servers.scheme.upper()}_PROXY=http://USER:PASSWORD@127.0.0.1:{port}" in error
    assert error.count("error: ") == 1
    assert "wrong" not in error
    assert "Traceback" not in error
    assert servers.proxy.refused <= 2, "no retries (huggingface_hub sends one more request of its own)"


@every_operation
def test_operation_uses_no_proxy_for_a_network_in_no_proxy(
    operation: Operation, host: str, servers: Servers
) -> None:
    servers.use("http://127.0.0.1:9", no_proxy="10.0.0.0/8, 0.0.0.0/8")
    assert operation(servers, servers.direct_url(host)) == ""


@pytest.mark.parametrize(
    ("operation", "host"),
    [(login, HUB), (pin, REGISTRY), (find_wheel, WHEELS)],  # fetch tries again for 15 seconds
    ids=["login", "pin", "find_wheel"],
)
def test_operation_explains_a_proxy_that_does_not_listen(
    operation: Operation, host: str, servers: Servers
) -> None:
    servers.use(f"http://fleet:{QUOTED}@127.0.0.1:9")
    error = operation(servers, servers.url(host))
    assert "does not answer through the proxy 127.0.0.1:9" in error
    assert PASSWORD not in error
    assert QUOTED not in error


@pytest.mark.parametrize("upstreams", ["https"], indirect=True)
@every_operation
def test_operation_explains_an_untrusted_certificate(
    operation: Operation, host: str, servers: Servers
) -> None:
    servers.use(servers.proxy.url(), trusted=False)
    assert f"{host}: its certificate is not trusted" in operation(servers, servers.url(host))


def test_proxy_without_a_login_is_explained(servers: Servers) -> None:
    servers.use(f"http://127.0.0.1:{servers.proxy.port}")
    assert "requires a login" in find_wheel(servers, servers.url(WHEELS))


def test_password_of_the_url_is_sent_to_the_server_and_not_shown(servers: Servers) -> None:
    servers.use(servers.proxy.url())
    url = servers.url(HUB).replace("://", "://me:secret@")
    error = find_wheel(servers, url)
    assert public(f"{url}/{COMMIT}") in error
    assert "secret" not in error
