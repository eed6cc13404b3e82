"""A real registry, plain or with TLS and a password; a small tested image, a key, an order to publish it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml

from images.lock.lockfile import load
from images.publish import publish, test_results
from tests.registry.published import OLD, new_key, small_image
from tests.registry.serving import PASSWORD, USER, Running, certificate, htpasswd, running

REMEDY = "no docker-registry: apt-get install docker-registry (Debian's)"


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
    certificate(folder)
    (folder / "htpasswd").write_text(htpasswd())
    monkeypatch.setenv("SLIPWAY_CA_BUNDLE", str(folder / "cert.pem"))
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    auth = {"htpasswd": {"realm": "slipway", "path": str(folder / "htpasswd")}}
    with running(binary, folder, tls=tls, auth=auth) as one:
        yield one


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


@pytest.fixture
def tag(engine, request):
    """The name of a small image, taken away afterwards."""
    name = f"slipway/stand-in-published:{abs(hash(request.node.name)):x}"
    yield name
    for image in engine.images.list(name):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def key(tmp_path):
    return new_key(tmp_path / "slipway.key")


@pytest.fixture
def order(engine, tag, key, tmp_path, monkeypatch):
    """An order for a tested image to some host: `order(registry.host)`."""
    monkeypatch.setattr(test_results, "FOLDER", tmp_path / "tested")

    def made(host: str, size: int = 1000, **changed) -> publish.Order:
        test_results.record(small_image(engine, tag, size), tag, ["test_it"])
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


@pytest.fixture
def written(tmp_path, registry):
    """A lock of an image and a wheel platform whose bases lie in the registry under test."""
    base = {"digest": OLD, "source": "of old"}
    data = {
        "schema": 1,
        "platforms": {
            "cuda": {
                "base": {"repository": f"{registry.host}/vllm/vllm-openai", "tag": "nightly", **base},
                "vllm": {"version": "0.30.0", "source": "inside the base"},
                "python": {"version": "3.12"},
            },
            "cuda-wheel": {
                "base": {"repository": f"{registry.host}/library/python", "tag": "3.12-slim", **base},
                "vllm": {"package": "vllm", "version": "0.30.0", "source": "the index"},
                "python": {"requirements": "requirements.txt", "sha256": hashlib.sha256(b"").hexdigest()},
            },
        },
    }
    path = tmp_path / "lock.yaml"
    path.write_text(yaml.safe_dump(data))
    (tmp_path / "requirements.txt").write_text("")
    return path
