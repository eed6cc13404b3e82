"""Everything at once, and the platform that a host is for."""

from __future__ import annotations

from pathlib import Path

from errors import Refused
from launch.hardware import amd, cdi, cpu, nvidia, pci
from launch.hardware.types import Hardware

PLATFORMS = ("cpu", "cuda", "rocm")


def detect(root: Path = Path("/")) -> Hardware:
    """The host's hardware. Never raises: what cannot be read is missing, or named in `problems`."""
    specs = cdi.specs(root)
    return Hardware(
        cpu.read(root),
        cdi.named(nvidia.read(root), specs),
        cdi.named(amd.read(root), specs),
        pci.read(root),
    )


def platform_of(hardware: Hardware, wanted: str = "") -> str:
    """The platform asked for, else the one of the GPUs that are here, else cpu.

    Raises Refused on a host with GPUs of both vendors, where only the user can say.
    """
    if wanted:
        return wanted
    vendors = {gpu.vendor for gpu in hardware.gpus} or {device.vendor for device in hardware.pci}
    if len(vendors) > 1:
        raise Refused(
            "this host has NVIDIA and AMD GPUs",
            why="one container serves one platform",
            fix="--platform cuda or --platform rocm",
        )
    return {"nvidia": "cuda", "amd": "rocm"}[vendors.pop()] if vendors else "cpu"
