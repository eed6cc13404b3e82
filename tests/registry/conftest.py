"""A real registry, plain or with TLS and a password; a small tested image and a request to publish it; a lock."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from images.lock.lockfile import load
from images.publish import test_results
from images.publish.publish import PublishRequest
from tests.conftest import absent
from tests.registry.published import OLD, make_key, small_image
from tests.registry.serving import FIX, PASSWORD, USER, Running, certificate, htpasswd, program, running

if TYPE_CHECKING:
    from docker import DockerClient


@pytest.fixture(scope="session")
def binary() -> str:
    """The registry's program; installed if this user may do that."""
    path = program()
    if not path:
        absent(FIX)
    return path


@pytest.fixture
def registry(binary: str, tmp_path: Path) -> Iterator[Running]:
    """A registry without TLS and password."""
    (tmp_path / "registry").mkdir()
    with running(binary, tmp_path / "registry") as one:
        yield one


@pytest.fixture
def locked_registry(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A registry with a password (htpasswd) and TLS, whose self-signed certificate is trusted."""
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
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write a docker login for a host: `logged_in(host, password)`."""

    def login(host: str, password: str = PASSWORD) -> None:
        folder = tmp_path / "docker"
        folder.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    return login


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A signing key."""
    return make_key(tmp_path / "slipway.key")


@pytest.fixture
def publish_request(
    engine: DockerClient,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., PublishRequest]]:
    """Request to publish a small tested image to a host: `publish_request(registry.host, key=None)`."""
    monkeypatch.setattr(test_results, "folder", lambda: tmp_path / "tested")
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    tag = f"slipway/stand-in-published:{name}"

    def make(host: str, size: int = 1000, **changed: Any) -> PublishRequest:
        test_results.record(small_image(engine, tag, size), tag, ["test_it"])
        made = PublishRequest(
            locked=load().image("rocm", "nightly"),
            image=tag,
            inputs="0123456789ab",
            host=host,
            repository="slipway/vllm",
            today=date(2026, 11, 23),
            key=key,
            with_sbom=False,
        )
        return replace(made, **changed)

    yield make
    for image in engine.images.list(tag):
        engine.images.remove(str(image.id), force=True)


@pytest.fixture
def lock_file(tmp_path: Path, registry: Running) -> Path:
    """A lock with an image channel and a wheel channel, whose bases are in the registry under test."""
    base = {"digest": OLD, "source": "an earlier pin"}
    data = {
        "schema": 2,
        "platforms": {
            "cuda": {
                "nightly": {
                    "base": {"repository": f"{registry.host}/vllm/vllm-openai", "tag": "nightly", **base},
                    "vllm": {"version": "0.30.0", "source": "inside the base"},
                    "python": {"version": "3.12"},
                },
                "wheel": {
                    "base": {"repository": f"{registry.host}/library/python", "tag": "3.12-slim", **base},
                    "vllm": {"package": "vllm", "version": "0.30.0", "source": "the index"},
                    "python": {"requirements": "requirements.txt", "sha256": hashlib.sha256(b"").hexdigest()},
                },
            },
        },
    }
    path = tmp_path / "lock.yaml"
    path.write_text(yaml.safe_dump(data))
    (tmp_path / "requirements.txt").write_text("")
    return path
