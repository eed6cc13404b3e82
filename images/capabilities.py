"""What is really inside an image: read after the build, compared to the lock, stamped, used by the planner.

A stale wheel under a new tag has happened upstream for ten days (vLLM #44759): a build that cannot say what
it carries is no build. The contract is the label `slipway.capabilities`, JSON as `capabilities_probe.py` prints it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from errors import Failed
from images.lock.lockfile import Platform, family
from images.lock.validation import older_than_minimum

LABEL = "slipway.capabilities"
READ_FROM = "slipway.capabilities.read-from"  # the key of what it was read from
OWN_LAYERS = "slipway.layers.own"  # how many layers at the top hold nothing but ours
PROBE = Path(__file__).with_name("capabilities_probe.py")
_FLAVOURS = {"cpu": "cpu", "cuda": "cuda", "rocm": "hip"}


@dataclass(frozen=True)
class Capabilities:
    """The facts. A tuple of names that could not be read is empty, and then decides nothing."""

    python: str = ""
    torch: str = ""
    torch_flavour: str = ""
    cuda: str = ""
    hip: str = ""
    gpu_archs: tuple[str, ...] = ()
    vllm_version: str = ""
    vllm_commit: str = ""
    flags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    tool_parsers: tuple[str, ...] = ()
    reasoning_parsers: tuple[str, ...] = ()

    def as_json(self) -> str:
        """One line, in a stable order."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> Capabilities:
    """A contract from the probe's line or from the label. Unknown keys of a later version are ignored."""
    given = json.loads(text)
    known: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in given.items()
        if k in Capabilities.__annotations__
    }
    return Capabilities(**{k: v for k, v in known.items() if v is not None})


def read(client: Any, image: str) -> Capabilities:
    """Ask the image itself, in a container without network, privileges or the image's entrypoint."""
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
        said = container.logs(stdout=True, stderr=False).decode()
        if status:
            why = container.logs(stdout=False, stderr=True).decode()[-600:]
            raise Failed(f"{image} cannot say what it carries (exit {status})", why=why)
    finally:
        container.remove(force=True)
    return parse(said.strip().splitlines()[-1])


def key(attrs: dict[str, Any]) -> str:
    """All that the answer of the probe depends on: the probe, vLLM's layers and the environment.

    Layers are named by the hash of their content, so the same key stands for the same bytes. Our own layers on
    top are left out: they hold plugins, which the probe does not load.
    """
    config = attrs["Config"]
    layers = attrs["RootFS"]["Layers"]
    below = layers[: len(layers) - int((config.get("Labels") or {}).get(OWN_LAYERS, 0))]
    said = json.dumps([PROBE.read_text(), config.get("Env"), below])
    return hashlib.sha256(said.encode()).hexdigest()


def known(client: Any, key: str) -> Capabilities | None:
    """What was read from the very same bytes before, as an image of this engine says."""
    for image in client.images.list(filters={"label": f"{READ_FROM}={key}"}):
        if label := image.labels.get(LABEL):
            return parse(label)
    return None


def differences(name: str, platform: Platform, capabilities: Capabilities) -> list[str]:
    """Where the image is not what the lock says, in words; empty when they agree."""
    pin, found = platform.vllm, []
    if pin.version and capabilities.vllm_version.split("+")[0] != pin.version.split("+")[0]:
        found.append(f"vLLM is {capabilities.vllm_version or 'missing'}, the lock says {pin.version}")
    short = min(len(pin.commit), len(capabilities.vllm_commit))
    if short and capabilities.vllm_commit[:short] != pin.commit[:short]:
        found.append(f"vLLM's commit is {capabilities.vllm_commit}, the lock says {pin.commit}")
    wanted = _FLAVOURS[family(name)]
    if capabilities.torch_flavour != wanted:
        found.append(f"torch is the {capabilities.torch_flavour or 'missing'} build, {name} needs {wanted}")
    if too_old := older_than_minimum(capabilities.vllm_version, capabilities.vllm_commit):
        found.append(too_old)
    if platform.python.version and not capabilities.python.startswith(platform.python.version + "."):
        found.append(f"Python is {capabilities.python}, the lock says {platform.python.version}")
    return found


def of(client: Any, image: str) -> Capabilities | None:
    """The contract stamped on a local image; None where it has none or is not here."""
    from docker.errors import ImageNotFound

    try:
        label = client.images.get(image).labels.get(LABEL, "")
    except ImageNotFound:
        return None
    return parse(label) if label else None
