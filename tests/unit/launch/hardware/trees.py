"""Hosts as files: KFD topologies, DRM and procfs, as small as a test needs them."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str | int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def kfd_node(
    root: Path, number: int, banks: tuple[int, ...] = (), gpu_id: int = 0, **properties: int
) -> Path:
    """Write one node of a KFD topology with memory banks of the public frame buffer."""
    folder = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
    write(folder / "properties", "\n".join(f"{name} {value}" for name, value in properties.items()))
    write(folder / "gpu_id", gpu_id)
    for index, size in enumerate(banks):
        write(folder / f"mem_banks/{index}/properties", f"heap_type 1\nsize_in_bytes {size}\nflags 0")
    return folder


def link(folder: Path, number: int, kind: int, to: int) -> None:
    write(folder / f"io_links/{number}/properties", f"type {kind}\nnode_from 0\nnode_to {to}\nweight 15")


GIB = 2**30
MI300X_BUSES = (0x05, 0x26, 0x46, 0x65, 0x85, 0xA6, 0xC6, 0xE5)


def mi300x(root: Path, partitions: int = 1) -> Path:
    """Write eight MI300X of 192 GiB, four on each of two CPUs, each divided into `partitions`."""
    for cpu in range(2):
        kfd_node(root, cpu, cpu_cores_count=96, simd_count=0)
    all_nodes = range(2, 2 + 8 * partitions)
    for index, bus in enumerate(MI300X_BUSES):
        pci = root / f"sys/bus/pci/devices/0000:{bus:02x}:00.0"
        write(pci / "mem_info_vram_total", 192 * GIB)
        write(pci / "mem_info_vram_used", 300 << 20)
        write(pci / "numa_node", index // 4)
        write(pci / "current_compute_partition", "SPX" if partitions == 1 else "CPX")
        write(pci / "current_memory_partition", "NPS1" if partitions == 1 else "NPS4")
        for part in range(partitions):
            number = 2 + index * partitions + part
            node = kfd_node(
                root,
                number,
                banks=(192 * GIB // partitions,),
                gpu_id=1000 + number,
                simd_count=1216 // partitions,
                vendor_id=4098,
                device_id=0x74A1,
                location_id=(bus << 8) + part,
                domain=0,
                gfx_target_version=90402,
                # Whole cards have every eighth render node: 128, 136, ...
                drm_render_minor=128 + 8 * index + part,
                unique_id=0xA000 + index,
                hive_id=77,
                num_xcc=8 // partitions,
            )
            link(node, 0, 2, index // 4)
            for other in all_nodes:
                if other != number and (other - 2) % partitions == part:  # a few links are enough
                    link(node, other, 11, other)
    return root


def mi300a(root: Path) -> Path:
    """Write four MI300A of 128 GiB: processor and GPU share a socket and its memory, which DRM does not report."""
    for cpu in range(4):
        kfd_node(root, cpu, cpu_cores_count=48, simd_count=0, hive_id=7)
    for index in range(4):
        pci = root / f"sys/bus/pci/devices/{index:04x}:02:00.0"
        write(pci / "mem_info_vram_total", 0)
        write(pci / "mem_info_vram_used", 0)
        node = kfd_node(
            root,
            4 + index,
            banks=(125 * GIB,),
            gpu_id=50 + index,
            simd_count=912,
            device_id=0x74A0,
            location_id=0x0200,
            domain=index,
            gfx_target_version=90402,
            drm_render_minor=128 + 8 * index,
            unique_id=0xC0 + index,
            hive_id=7,
            num_xcc=6,
        )
        link(node, 0, 11, index)  # the link to its processor is of the same kind
        for other in range(4):
            if other != index:
                link(node, 1 + other, 11, 4 + other)
    return root
