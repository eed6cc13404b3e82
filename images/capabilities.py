"""Read what an image's vLLM accepts, compare it with the lock, and find it again in the image's label.

Upstream once published an old wheel under a new tag for ten days (vLLM #44759), so every build reads its own image.
The label `slipway.capabilities` holds the JSON that `capabilities_probe.py` prints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed
from images.lock.history import older_than_minimum
from images.lock.schema import LockedImage
from launch import atomic_write, paths
from launch.engine.images import find
from launch.spec.capabilities import TORCH_BUILDS, Capabilities

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "slipway.capabilities"
READ_FROM = "slipway.capabilities.read-from"  # the content key of the image that was read
OWN_LAYERS = "slipway.layers.own"  # number of layers at the top that hold only Slipway's plugin
PROBE = Path(__file__).with_name("capabilities_probe.py")


def read(client: DockerClient, image: str) -> Capabilities:
    """Run the probe in a container without network, privileges and the image's entrypoint. Raises Failed."""
    container = client.containers.create(
        image,
        entrypoint=["python3", "-c", PROBE.read_text()],
        command=[],
        network_mode="none",
        cap_drop=["ALL"],
    )
    try:
        container.start()
        status = container.wait()["StatusCode"]
        if status:
            why = container.logs(stdout=False, stderr=True).decode()[-600:]
            raise Failed(f"cannot read the capabilities of {image} (exit {status})", why=why)
        output = container.logs(stdout=True, stderr=False).decode()
    finally:
        container.remove(force=True)
    return Capabilities.from_json(output.strip().splitlines()[-1])


def content_key(attrs: Mapping[str, Any]) -> str:
    """Return a hash of everything that the probe's result depends on: the probe, vLLM's layers, the environment.

    Engines name layers by the hash of their content, so equal keys mean equal files. Slipway's own layers at the top
    are excluded: they hold plugins, which the probe does not load.
    """
    config = attrs["Config"]
    layers = attrs["RootFS"]["Layers"]
    relevant = layers[: len(layers) - int((config.get("Labels") or {}).get(OWN_LAYERS, 0))]
    text = json.dumps([PROBE.read_text(), config.get("Env"), relevant])
    return hashlib.sha256(text.encode()).hexdigest()


def recorded(client: DockerClient, key: str) -> Capabilities | None:
    """Return the capabilities that an image of this engine with the same content key has in its label."""
    for image in client.images.list(filters={"label": f"{READ_FROM}={key}"}):
        if found := from_labels(image.labels):
            return found
    return None


def of(client: DockerClient, reference: str) -> Capabilities | None:
    """Return the capabilities in the label of a local image, if it exists and has one."""
    image = find(client, reference)
    return from_labels(image.labels) if image else None


def remembered(image_id: str) -> Capabilities | None:
    """Return the capabilities that were read from an image of this id; None if it was not read or could not be."""
    try:
        found = Capabilities.from_json(_file(image_id).read_text())
    except (OSError, ValueError):
        return None
    return None if found == Capabilities() else found


def was_read(image_id: str) -> bool:
    """Return whether the image was read before, with or without success."""
    return _file(image_id).is_file()


def remember(image_id: str, found: Capabilities | None) -> None:
    """Keep what was read from an image; an image that could not be read is not tried again."""
    paths.writable(_file(image_id).parent)
    atomic_write.write_text(_file(image_id), (found or Capabilities()).as_json())


def _file(image_id: str) -> Path:
    return paths.state_dir() / "capabilities" / f"{image_id.removeprefix('sha256:')}.json"


def from_labels(labels: Mapping[str, str]) -> Capabilities | None:
    """Return the capabilities in an image's labels, or None if they are missing or unreadable."""
    try:
        return Capabilities.from_json(labels.get(LABEL, ""))
    except ValueError:
        return None


def differences(image: LockedImage, actual: Capabilities) -> list[str]:
    """Return a message for each difference between the lock and an image; empty if they agree."""
    pin, found = image.pins.vllm, []
    if pin.version and actual.vllm_version.split("+")[0] != pin.version.split("+")[0]:
        found.append(f"vLLM is {actual.vllm_version or 'missing'}, the lock has {pin.version}")
    length = min(len(pin.commit), len(actual.vllm_commit))
    if length and actual.vllm_commit[:length] != pin.commit[:length]:
        found.append(f"vLLM's commit is {actual.vllm_commit}, the lock has {pin.commit}")
    wanted = TORCH_BUILDS[image.platform]
    if actual.torch_flavour != wanted:
        found.append(
            f"torch is the {actual.torch_flavour or 'missing'} build, {image.platform} needs {wanted}"
        )
    if too_old := older_than_minimum(actual.vllm_version, actual.vllm_commit):
        found.append(too_old)
    python = image.pins.python.version
    if python and not actual.python.startswith(python + "."):
        found.append(f"Python is {actual.python}, the lock has {python}")
    return found
