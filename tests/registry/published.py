"""A small image with capabilities in its label, the tags that publishing it sets, and a way to look for them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from images.capabilities import LABEL
from images.registry.client import Registry
from launch.http.client import NotFound
from launch.spec.capabilities import Capabilities

if TYPE_CHECKING:
    from docker import DockerClient

CAPABILITIES = Capabilities(
    python="3.12.13", torch_flavour="hip", vllm_version="0.21.0rc1+rocm722", vllm_commit="d801ae8c2650"
)
OLD = "sha256:" + "0" * 64  # the digest of a lock before `invoke pin`
TAGS = (
    "rocm-nightly-lock-0123456789ab",
    "rocm-nightly-vllm0.21.0rc1_rocm722-gd801ae8c2",
    "rocm-nightly-20261123",
    "rocm-nightly-candidate",
)


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


def small_image(engine: DockerClient, tag: str, size: int = 1000) -> str:
    """Build an image with one layer of random bytes and capabilities in its label; return its ID."""
    payload, context = os.urandom(size), io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM scratch\nCOPY payload /payload\n"), ("payload", payload)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    context.seek(0)
    labels = {LABEL: CAPABILITIES.as_json(), "slipway.base": "stand-in"}
    image, _ = engine.images.build(
        fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True, forcerm=True
    )
    return str(image.id)


def existing(registry: Registry, tags: Iterable[str] = TAGS) -> list[str]:
    """Return the tags that exist in the registry."""
    found = []
    for tag in tags:
        try:
            registry.manifest("slipway/vllm", tag)
            found.append(tag)
        except NotFound:
            pass
    return found


def make_key(path: Path) -> Path:
    """Make a signing key with the command of `signing.MAKE_KEY`."""
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
    subprocess.run(words, capture_output=True, check=True)
    path.chmod(0o600)
    return path
