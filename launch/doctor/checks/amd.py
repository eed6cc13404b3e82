"""AMD: device nodes that this user may open, and kernel settings that hang or slow down a launch."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Device, Facts
from launch.doctor.finding import Finding, error, ok, warning


def nodes(facts: Facts) -> Iterator[Finding]:
    """/dev/kfd and the render nodes are there, and the container's user will be in their groups."""
    if facts.platform != "rocm":
        return
    missing = [device.path for device in facts.devices if not device.here]
    if missing:
        why = "the container is given /dev/kfd and the render nodes of its GPUs"
        yield error("devices", f"not here: {', '.join(missing)}", why, "sudo modprobe amdgpu")
    closed = [device for device in facts.devices if device.here and not device.usable]
    for device in closed[:1]:
        yield _closed(device, [d.path for d in closed], facts)
    if not missing and not closed and facts.devices:
        yield ok("devices", f"/dev/kfd and {len(facts.devices) - 1} render node(s) can be opened")


def _closed(device: Device, paths: list[str], facts: Facts) -> Finding:
    group = device.group or str(device.gid)
    seen = f"{facts.user} may not open {', '.join(paths[:3])} (group {group})"
    if device.gid in (None, 0, *facts.groups):
        remedy = f"sudo chmod g+rw {device.path}  # and a udev rule that keeps it"
    else:
        remedy = f"sudo usermod -a -G {group} {facts.user}  # then log in again"
    # The container gets the group by number, so a launch works; only tools on the host itself do not.
    return warning("groups", seen, "containers get the group by number; tools on the host fail", remedy)


def numa_balancing(facts: Facts) -> Iterator[Finding]:
    """AMD: with automatic balancing GPUs may hang until the kernel has moved pages."""
    if facts.platform != "rocm" or facts.kernel.numa_balancing is None:
        return
    if facts.kernel.numa_balancing:
        yield warning(
            "numa",
            "automatic NUMA balancing is on",
            "the GPU might hang until a balancing pass ends (AMD)",
            "sudo sysctl -w kernel.numa_balancing=0",
        )
    else:
        yield ok("numa", "automatic NUMA balancing is off")


def iommu(facts: Facts) -> Iterator[Finding]:
    """Several GPUs: DMA between them must not be translated (AMD: iommu=pt)."""
    if facts.platform != "rocm" or len(facts.hardware.amd.gpus) < 2:
        return
    if facts.kernel.iommu == "DMA":
        yield warning(
            "iommu",
            f"translating, {facts.kernel.iommu_groups} groups",
            "transfers between GPUs may hang or be slow (AMD)",
            "add iommu=pt to GRUB_CMDLINE_LINUX, then: sudo update-grub && sudo reboot",
        )
    else:
        yield ok("iommu", "pass-through" if facts.kernel.iommu else "none")


CHECKS = (nodes, numa_balancing, iommu)
