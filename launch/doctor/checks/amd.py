"""Check AMD device nodes and the kernel settings that make GPUs hang or slow."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Device, Facts
from launch.doctor.finding import Finding, error, ok, warning
from launch.plural import count

KFD = "/dev/kfd"


def device_nodes(facts: Facts) -> Iterator[Finding]:
    """Check that /dev/kfd and the render nodes exist, and that this user can open them."""
    if facts.platform != "rocm":
        return
    missing = [device.path for device in facts.devices if not device.present]
    if missing:
        yield _missing(missing, facts)
    unusable = [device for device in facts.devices if device.present and not device.usable]
    if unusable:
        yield _no_permission(unusable, facts)
    if not missing and not unusable and facts.devices:
        yield ok("devices", f"/dev/kfd and {count(len(facts.devices) - 1, 'render node')} can be opened")


def _missing(paths: list[str], facts: Facts) -> Finding:
    """A launch needs /dev/kfd and one card with all its nodes. It leaves out the other cards."""
    left = [gpu for gpu in facts.hardware.amd.gpus if gpu.devices and not set(gpu.devices) & set(paths)]
    what = f"missing: {', '.join(paths)}"
    if KFD in paths or not left:
        why = "the container needs /dev/kfd and the render nodes of its GPUs"
        return error("devices", what, why, "sudo modprobe amdgpu")
    lost = count(len(facts.hardware.amd.gpus) - len(left), "GPU")
    return warning(
        "devices", what, f"{lost} cannot be used", "sudo dmesg | tail -50  # then reset or replace it"
    )


def _no_permission(devices: list[Device], facts: Facts) -> Finding:
    device, paths = devices[0], [device.path for device in devices]
    group = device.group or str(device.gid)
    what = f"{facts.user} has no permission to open {', '.join(paths[:3])} (group {group})"
    if device.gid in (None, 0, *facts.groups):
        fix = f"sudo chmod g+rw {device.path}  # a udev rule makes it permanent"
    else:
        fix = f"sudo usermod -a -G {group} {facts.user}  # then log in again"
    # A launch works, because the container gets the group by number.
    return warning("groups", what, "containers get the group by number; tools on the host fail", fix)


def numa_balancing(facts: Facts) -> Iterator[Finding]:
    """Check automatic NUMA balancing, during which GPUs can hang (AMD)."""
    if facts.platform != "rocm" or facts.kernel.numa_balancing is None:
        return
    if facts.kernel.numa_balancing:
        yield warning(
            "numa",
            "automatic NUMA balancing is on",
            "a GPU can hang until the kernel has moved its pages (AMD)",
            "sudo sysctl -w kernel.numa_balancing=0",
        )
    else:
        yield ok("numa", "automatic NUMA balancing is off")


def iommu(facts: Facts) -> Iterator[Finding]:
    """Check that the IOMMU does not translate DMA between several GPUs (AMD: iommu=pt)."""
    if facts.platform != "rocm" or len(facts.hardware.amd.gpus) < 2:
        return
    if facts.kernel.iommu == "DMA":
        yield warning(
            "iommu",
            f"the IOMMU translates, in {facts.kernel.iommu_groups} groups",
            "transfers between GPUs can hang or be slow (AMD)",
            "add iommu=pt to GRUB_CMDLINE_LINUX, then: sudo update-grub && sudo reboot",
        )
    else:
        yield ok("iommu", "pass-through" if facts.kernel.iommu else "off")


CHECKS = (device_nodes, numa_balancing, iommu)
