"""A small image that carries a contract, what publishing it must leave, and how to look for that."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

from images import capabilities
from images.registry.client import Registry
from launch.http.client import NotFound

CAPABILITIES = capabilities.Capabilities(
    python="3.12.13", torch_flavour="hip", vllm_version="0.21.0rc1+rocm722", vllm_commit="d801ae8c2650"
)
OLD = "sha256:" + "0" * 64  # what a lock was pinned to before
TAGS = (
    "rocm-lock-0123456789ab",
    "rocm-vllm0.21.0rc1_rocm722-gd801ae8c2",
    "rocm-20261123",
    "rocm-candidate",
)


def quiet(done, total, note):
    """Progress that nobody reads."""


def small_image(engine, tag: str, size: int = 1000) -> str:
    """An image of one incompressible layer that carries a contract, and no more."""
    payload, context = os.urandom(size), io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM scratch\nCOPY payload /payload\n"), ("payload", payload)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    context.seek(0)
    labels = {capabilities.LABEL: CAPABILITIES.as_json(), "slipway.base": "stand-in"}
    image, _ = engine.images.build(fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True)
    return image.id


def left(client: Registry, tags=TAGS) -> list[str]:
    """Which of the tags exist."""
    found = []
    for tag in tags:
        try:
            client.manifest("slipway/vllm", tag)
            found.append(tag)
        except NotFound:
            pass
    return found


def new_key(path: Path) -> Path:
    """A signing key as `signing.MAKE_ONE` makes it."""
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
    subprocess.run(words, capture_output=True, check=True)
    path.chmod(0o600)
    return path
