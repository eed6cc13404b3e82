"""Show GPUs on a simulated host: MI300X by device nodes and a KFD topology, H200 by device nodes and NVML."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.hosts.simulated_host import SimulatedHost
from tests.unit.launch.hardware import trees
from tests.unit.launch.hardware.trees import write

RENDER_GROUP = 110  # Debian's number of the group that owns the nodes of GPUs
H200 = "NVIDIA H200;90;143771;4;1;ok"
NVIDIA, AMD = 0x10DE, 0x1002


def show_mi300x(host: SimulatedHost, partitions: int = 1) -> None:
    """Show eight MI300X, each divided into `partitions`."""
    for path in ("sys/class/kfd", "dev/dri"):
        shutil.rmtree(host.root / path, ignore_errors=True)
    trees.mi300x(host.root, partitions)
    for bus in trees.MI300X_BUSES:
        _pci(host.root, f"0000:{bus:02x}:00.0", AMD, 0x74A1, 0x120000)
    if not (host.root / "dev/kfd").exists():
        host.add_device("/dev/kfd", RENDER_GROUP)
    for gpu in range(8):
        for part in range(partitions):
            host.add_device(f"/dev/dri/renderD{128 + 8 * gpu + part}", RENDER_GROUP)


def show_h200(host: SimulatedHost, library: Path) -> None:
    """Show eight H200: a stand-in for NVML answers from a variable, and the nodes exist."""
    host.env |= {"LD_LIBRARY_PATH": str(library), "NVML_GPUS": "\n".join([H200] * 8)}
    for gpu in range(8):
        _pci(host.root, f"0000:{0x10 + gpu:02x}:00.0", NVIDIA, 0x2335, 0x030200)
        host.add_device(f"/dev/nvidia{gpu}")
    host.add_device("/dev/nvidiactl")


def _pci(root: Path, address: str, vendor: int, device: int, kind: int) -> None:
    folder = root / "sys/bus/pci/devices" / address
    for name, value in (("vendor", vendor), ("device", device), ("class", kind)):
        write(folder / name, f"{value:#06x}")


def uuid(gpu: int) -> str:
    """Return the UUID that the stand-in for NVML gives a GPU."""
    return f"GPU-00000000-0000-0000-0000-{gpu:012}"


def cdi_spec() -> str:
    """Return a CDI spec of the eight H200, with the names that nvidia-ctk gives devices by UUID."""
    devices = [
        {"name": uuid(gpu), "containerEdits": {"deviceNodes": [{"path": f"/dev/nvidia{gpu}"}]}}
        for gpu in range(8)
    ]
    common = {"deviceNodes": [{"path": "/dev/nvidiactl"}]}
    return json.dumps(
        {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": common}
    )
