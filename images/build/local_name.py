"""The local name of an image, which contains a hash of all its inputs. Imports little: every plan needs the name."""

from __future__ import annotations

import hashlib

from images.build import context
from images.lock.schema import LockedImage


def reference(image: LockedImage) -> str:
    """Return the local name of an image: its vLLM version and a hash of all inputs."""
    vllm = image.pins.vllm
    version = vllm.version or vllm.commit[:12] or "base"
    return f"slipway/vllm-{image.name}:{version.replace('+', '_')}-{inputs(image)}"


def inputs(image: LockedImage) -> str:
    """Return twelve hex digits over all inputs: the lock's entry and Slipway's own files."""
    text = f"{image.pins.digest} {context.own_files(image.platform)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
