"""Detect the whole hardware of a host, and the platform that it suggests."""

from __future__ import annotations

from pathlib import Path

from errors import Refused
from launch.hardware import amd, cdi, cpu, nvidia, pci
from launch.hardware.types import Hardware

PLATFORMS = ("cpu", "cuda", "rocm")
PLATFORM_OF_VENDOR = {"nvidia": "cuda", "amd": "rocm"}


def detect(root: Path = Path("/")) -> Hardware:
    """Return the host's hardware. Never raises: what cannot be read is missing, or named in `problems`."""
    specs = cdi.read_specs(root)
    return Hardware(
        cpu.read(root),
        cdi.with_names(nvidia.read(root), specs),
        cdi.with_names(amd.read(root), specs),
        pci.read(root),
    )


def platform_of(hardware: Hardware, requested: str = "") -> str:
    """Return the requested platform, else that of the host's GPUs, else cpu.

    Raises Refused on a host with GPUs of both vendors, because then the user must say which.
    """
    if requested:
        return requested
    vendors = {gpu.vendor for gpu in hardware.gpus} or {device.vendor for device in hardware.pci}
    if len(vendors) > 1:
        raise Refused(
            "this host has NVIDIA and AMD GPUs",
            why="a container serves one platform",
            fix="--platform cuda, or --platform rocm",
        )
    return PLATFORM_OF_VENDOR[vendors.pop()] if vendors else "cpu"
