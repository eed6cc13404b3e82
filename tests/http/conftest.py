"""A Hub, a registry and a wheel index on loopback, with and without TLS, and a proxy that leads to them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from images.registry.client import Registry
from launch.http.connection import CA_BUNDLE_VARIABLES
from launch.hub_server import serve_folder
from tests.http.proxy import Proxy, running_proxy
from tests.registry.conftest import binary  # noqa: F401 -- the fixture that finds docker-registry
from tests.registry.pushed import push
from tests.registry.serving import running
from tests.registry.wheels import publish, wheel

MODEL = "harbour/dinghy"
COMMIT = "c" * 40
HUB, REGISTRY, WHEELS = "hub.invalid", "registry.invalid", "wheels.invalid"
ANY_ADDRESS = "0.0.0.0"  # reaches loopback, but is not a loopback address, for which no proxy is used
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class Servers:
    """The servers of one scheme: their ports by host name, the proxy, and a folder for the test's files."""

    scheme: str
    ports: dict[str, int]
    proxy: Proxy
    folder: Path
    certificate: Path
    monkeypatch: pytest.MonkeyPatch

    def url(self, host: str) -> str:
        """The URL of a server by its name, which only the proxy can resolve."""
        return f"{self.scheme}://{host}"

    def direct_url(self, host: str) -> str:
        """The URL of a server that this host reaches without a proxy."""
        return f"{self.scheme}://{ANY_ADDRESS}:{self.ports[host]}"

    def loopback_url(self, host: str) -> str:
        """The URL of a server for which no proxy is ever used."""
        return f"{self.scheme}://127.0.0.1:{self.ports[host]}"

    def use(self, proxy: str, *, no_proxy: str = "", trusted: bool = True) -> None:
        """Set the environment that users set for a proxy."""
        self.monkeypatch.setenv(f"{self.scheme}_proxy", proxy)
        self.monkeypatch.setenv("no_proxy", no_proxy)
        if trusted:
            self.monkeypatch.setenv("SSL_CERT_FILE", str(self.certificate))

    @property
    def lock(self) -> Path:
        """A lock file with a platform whose base is in the registry."""
        base = {
            "repository": f"{REGISTRY}/vllm/vllm-openai",
            "tag": "nightly",
            "digest": f"sha256:{'0' * 64}",
        }
        cuda = {
            "base": {**base, "source": "the test"},
            "vllm": {"version": "0.30.0", "source": "inside the base"},
            "python": {"version": "3.12"},
        }
        path = self.folder / "lock.yaml"
        path.write_text(yaml.safe_dump({"schema": 2, "platforms": {"cuda": {"stable": cuda}}}))
        return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for all servers, as cert.pem, with key.pem next to it."""
    if not shutil.which("openssl"):
        pytest.skip("making a certificate needs the openssl command")
    folder = tmp_path_factory.mktemp("certificate")
    names = ",".join(
        [f"DNS:{name}" for name in (HUB, REGISTRY, WHEELS)] + ["IP:127.0.0.1", f"IP:{ANY_ADDRESS}"]
    )
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2"]
    words += ["-subj", "/CN=slipway", "-addext", f"subjectAltName={names}"]
    subprocess.run(words, capture_output=True, check=True)
    return folder / "cert.pem"


def add_tls(server: ThreadingHTTPServer, certificate: Path) -> None:
    """Let a server use TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)


@contextmanager
def serve_files(folder: Path) -> Iterator[ThreadingHTTPServer]:
    """Serve the files of a folder, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the user's proxies, certificates, logins and folders."""
    for name in (*PROXY_VARIABLES, *CA_BUNDLE_VARIABLES, "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture(scope="module", params=["http", "https"])
def upstreams(
    request: pytest.FixtureRequest,
    binary: str,  # noqa: F811
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, int]]]:
    """The scheme, and the ports of Hub, registry and wheel index."""
    scheme, folder = request.param, tmp_path_factory.mktemp(request.param)
    (folder / "models" / MODEL).mkdir(parents=True)
    (folder / "models" / MODEL / "config.json").write_text("{}")
    path = wheel(folder / "index" / COMMIT, "vllm", "1.0", tag="cp38-abi3-manylinux_2_35_x86_64")
    publish(folder / "index", COMMIT, path, "1.0")
    (folder / "registry").mkdir()
    tls = {"tls": {"certificate": str(certificate), "key": str(certificate.with_name("key.pem"))}}
    with ExitStack() as stack:
        hub = stack.enter_context(serve_folder(folder / "models", token="hf_right"))
        index = stack.enter_context(serve_files(folder / "index"))
        registry = stack.enter_context(
            running(binary, folder / "registry", **(tls if scheme == "https" else {}))
        )
        if scheme == "https":
            add_tls(hub.api, certificate)
            add_tls(index, certificate)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(certificate))
            push(Registry(registry.host, f"{scheme}://{registry.host}"), "vllm/vllm-openai", "nightly")
        ports = {
            HUB: hub.url,
            WHEELS: f"//127.0.0.1:{index.server_address[1]}",
            REGISTRY: f"//{registry.host}",
        }
        yield scheme, {name: int(str(urlsplit(url).port)) for name, url in ports.items()}


@pytest.fixture
def servers(
    upstreams: tuple[str, dict[str, int]],
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Servers]:
    scheme, ports = upstreams
    with running_proxy(ports) as proxy:
        yield Servers(scheme, ports, proxy, tmp_path, certificate, monkeypatch)
