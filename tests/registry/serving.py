"""Run a real docker-registry (Debian's) on a free loopback port, with a certificate and a password."""

from __future__ import annotations

import base64
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

from images.registry.client import Registry

USER, PASSWORD = "slipway", "long live the slipway"


FIX = "docker-registry is not installed: apt-get install docker-registry (on Debian)"


@dataclass
class Running:
    """A running registry: its host as in references, its folder, its process."""

    host: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def client(self, password: str = "", url: str = "") -> Registry:
        login = base64.b64encode(f"{USER}:{password}".encode()).decode() if password else ""
        return Registry(self.host, url or self.url, login)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def program() -> str:
    """Return the path of docker-registry, which is installed if this user may do that; "" without it."""
    if not shutil.which("docker-registry") and os.geteuid() == 0 and shutil.which("apt-get"):
        words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-registry"]
        subprocess.run(words, capture_output=True, check=False, timeout=300)
    return shutil.which("docker-registry") or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(binary: str, folder: Path, **http: object) -> Iterator[Running]:
    """Start a registry, wait until it listens, and end its process after the block."""
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
    raise AssertionError("the registry does not listen after 5 seconds")


def certificate(folder: Path, name: str = "localhost") -> None:
    """Make a self-signed certificate for 127.0.0.1 and a name of it, as cert.pem and key.pem."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName=IP:127.0.0.1,DNS:{name}"]
    subprocess.run(words, capture_output=True, check=True)


def htpasswd() -> str:
    """Return a password file. The registry needs bcrypt, which neither Python nor OpenSSL has."""
    if not shutil.which("htpasswd"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "apache2-utils"], capture_output=True, check=False)
    if not shutil.which("htpasswd"):
        pytest.skip("no htpasswd: apt-get install apache2-utils")
    words = ["htpasswd", "-Bbn", USER, PASSWORD]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
