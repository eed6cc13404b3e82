"""A stand-in for the hook of NVIDIA's container toolkit: it makes device nodes, and mounts no driver.

Docker registers `--gpus` if `nvidia-container-runtime-hook` is on its PATH when it starts, and adds the hook to
containers that request GPUs. The runtime calls it before the container changes its root, with the state on stdin.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NODE = ("c", "1", "3")  # /dev/null


def requested(environment: list[str]) -> list[str]:
    """Return the GPUs in NVIDIA_VISIBLE_DEVICES by index; the stand-in for NVML numbers UUIDs by index."""
    values = dict(entry.partition("=")[::2] for entry in environment)
    names = values.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    if names == ["all"]:
        return [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return [str(int(name.rpartition("-")[2])) for name in names if name]


def main() -> None:
    """Make the nodes of the requested GPUs in the container's /dev."""
    state = json.load(sys.stdin)
    spec = json.loads(Path(state["bundle"], "config.json").read_text())
    enter = ["nsenter", "--target", str(state["pid"]), "--mount", "--"]
    for name in ("ctl", *requested(spec["process"]["env"])):
        node = f"{spec['root']['path']}/dev/nvidia{name}"
        subprocess.run([*enter, "mknod", "--mode=0666", node, *NODE], check=True)


if __name__ == "__main__":
    main()
