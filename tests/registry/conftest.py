"""A real docker-registry (Debian's) on a free loopback port, plain or with TLS and a password."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from images.registry import Registry

REMEDY = "no docker-registry: apt-get install docker-registry (Debian's)"
USER, PASSWORD = "slipway", "long live the slipway"


@dataclass
class Running:
    """A registry that runs: its host as references name it, its folder, its process."""

    host: str
    folder: Path
    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def client(self, password: str = "", url: str = "") -> Registry:
        login = base64.b64encode(f"{USER}:{password}".encode()).decode() if password else ""
        return Registry(self.host, url or self.url, login)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def binary() -> str:
    """The registry's program, installed where we may."""
    if not shutil.which("docker-registry") and os.geteuid() == 0 and shutil.which("apt-get"):
        words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-registry"]
        subprocess.run(words, capture_output=True, check=False, timeout=300)
    found = shutil.which("docker-registry")
    if not found:
        if os.environ.get("SLIPWAY_REQUIRE_ENGINE"):
            pytest.fail(REMEDY)
        pytest.skip(REMEDY)
    return found


@contextmanager
def running(binary: str, folder: Path, **http: object) -> Iterator[Running]:
    """Start one, wait until it answers, end it by its own process."""
    port = free_port()
    auth = http.pop("auth", None)
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", **http},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    registry = Running(f"127.0.0.1:{port}", folder, process)
    try:
        _wait(registry)
        yield registry
    finally:
        registry.stop()


def _wait(registry: Running) -> None:
    host, port = registry.host.split(":")
    for _ in range(100):
        assert registry.process.poll() is None, (registry.folder / "log").read_text()
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the registry does not listen")


@pytest.fixture
def registry(binary: str, tmp_path: Path) -> Iterator[Running]:
    """A plain one."""
    (tmp_path / "registry").mkdir()
    with running(binary, tmp_path / "registry") as one:
        yield one


@pytest.fixture
def locked_registry(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """One with TLS by a certificate of its own, which we trust, and a password (htpasswd)."""
    folder = tmp_path / "locked"
    folder.mkdir()
    _certificate(folder)
    (folder / "htpasswd").write_text(_htpasswd())
    monkeypatch.setenv("SLIPWAY_CA_BUNDLE", str(folder / "cert.pem"))
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    auth = {"htpasswd": {"realm": "slipway", "path": str(folder / "htpasswd")}}
    with running(binary, folder, tls=tls, auth=auth) as one:
        yield one


def _certificate(folder: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(words, capture_output=True, check=True)


def _htpasswd() -> str:
    """The registry wants bcrypt, which neither Python nor OpenSSL make."""
    if not shutil.which("htpasswd"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "apache2-utils"], capture_output=True, check=False)
    if not shutil.which("htpasswd"):
        pytest.skip("no htpasswd: apt-get install apache2-utils")
    words = ["htpasswd", "-Bbn", USER, PASSWORD]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a docker login for a host: `logged_in(host, password)`."""

    def login(host: str, password: str = PASSWORD) -> None:
        folder = tmp_path / "docker"
        folder.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    return login
