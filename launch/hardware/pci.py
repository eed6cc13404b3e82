"""List the GPUs on the PCI bus, with or without a driver, because a card without a driver is a finding of its own."""

from __future__ import annotations

from pathlib import Path

from launch.hardware import sysfs
from launch.hardware.types import PciGpu

VENDORS = {0x10DE: "nvidia", 0x1002: "amd"}
# Class codes of the PCI specification: VGA, 3D and other display controllers, processing accelerators.
CLASSES = (0x0300, 0x0302, 0x0380, 0x1200)


def read(root: Path = Path("/")) -> tuple[PciGpu, ...]:
    """Return NVIDIA's and AMD's devices, by address."""
    devices = (_device(folder) for folder in sysfs.entries(root / "sys/bus/pci/devices"))
    return tuple(device for device in devices if device)


def _device(folder: Path) -> PciGpu | None:
    vendor = VENDORS.get(sysfs.read_number(folder / "vendor") or 0)
    class_code = (sysfs.read_number(folder / "class") or 0) >> 8
    if vendor is None or class_code not in CLASSES:
        return None
    device = sysfs.read_number(folder / "device") or 0
    return PciGpu(folder.name, vendor, device, sysfs.link_target(folder / "driver"))
