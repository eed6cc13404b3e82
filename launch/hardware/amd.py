"""Read AMD GPUs from the kernel's own files: KFD topology and DRM. Needs no vendor tool and no privilege.

A KFD node is what HIP counts as a device. A card may have several (8 on MI300X in CPX mode) and is one GPU here.
Render nodes are not numbered 128 + i; `drm_render_minor` gives their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launch.hardware import gpu_ids, kfd, sysfs
from launch.hardware.kfd import Node
from launch.hardware.types import Gpu, GpuPartition, GpuProcess, VendorReport

XGMI = 11  # HSA_IOLINKTYPE

Card = tuple[Node, ...]


@dataclass(frozen=True)
class Drm:
    """What DRM reports about a card."""

    memory: int | None = None
    used: int | None = None
    numa: int | None = None
    name: str = ""
    partition: str = ""
    memory_partition: str = ""


@dataclass(frozen=True)
class CardTable:
    """The cards of a topology, the card index of each node, and the nodes that are processors."""

    cards: tuple[Card, ...]
    card_of_node: dict[int, int]
    cpus: tuple[int, ...]


def read(root: Path = Path("/")) -> VendorReport:
    """Return the AMD GPUs below a root folder: a host's `/`, or a copy of its KFD topology."""
    topology = kfd.read(root)
    cards = kfd.cards(topology.nodes)
    card_of_node = {node.number: index for index, card in enumerate(cards) for node in card}
    table = CardTable(cards, card_of_node, topology.cpus)
    gpus = tuple(_gpu(root, index, table) for index in range(len(cards)))
    driver = sysfs.read_text(root / "sys/module/amdgpu/version")
    return VendorReport("amd", driver=driver, gpus=gpus, problems=topology.problems)


def _gpu(root: Path, index: int, table: CardTable) -> Gpu:
    card = table.cards[index]
    first = card[0]
    model = gpu_ids.amd(first.get("device_id"), first.get("simd_count"))
    drm = _drm(root, first.pci)
    memory = _memory(card, drm)
    return Gpu(
        index=index,
        vendor="amd",
        name=drm.name or (model.name if model else f"AMD GPU 1002:{first.get('device_id'):04x}"),
        hardware=model.id if model else "",
        arch=gpu_ids.gfx(first.get("gfx_target_version")),
        uuid=_uuid(card),
        pci=first.pci,
        numa=drm.numa if drm.numa is not None else _linked_cpu(card, table),
        memory=memory,
        used=drm.used if memory == drm.memory else None,
        links=_links(index, table),
        processes=_processes(root, card),
        parts=_partitions(card, memory),
        partition=drm.partition or kfd.mode(card),
        memory_partition=drm.memory_partition,
        problem=_problem(root, card),
    )


def _uuid(card: Card) -> str:
    """Return the id that all its nodes share, "" if they have different ids or none."""
    ids = {node.get("unique_id") for node in card}
    return f"GPU-{ids.pop():016x}" if len(ids) == 1 and 0 not in ids else ""


def _drm(root: Path, pci: str) -> Drm:
    if not pci:
        return Drm()
    folder = root / "sys/bus/pci/devices" / pci
    numa = sysfs.read_number(folder / "numa_node")
    return Drm(
        sysfs.read_number(folder / "mem_info_vram_total"),
        sysfs.read_number(folder / "mem_info_vram_used"),
        numa if numa is not None and numa >= 0 else None,
        sysfs.read_text(folder / "product_name"),
        sysfs.read_text(folder / "current_compute_partition").upper(),
        sysfs.read_text(folder / "current_memory_partition").upper(),
    )


def _memory(card: Card, drm: Drm) -> int | None:
    """Return DRM's value, except for an APU: there it is what the firmware reserved, often nothing.

    KFD's values are what HIP may use. They are added up only if DRM reports nothing or the card is an APU, because
    each partition may report the whole memory.
    """
    banks = [node.memory or 0 for node in card]
    if drm.memory and drm.memory >= max(banks):
        return drm.memory
    return sum(banks) if all(banks) else drm.memory or None


def _partitions(card: Card, memory: int | None) -> tuple[GpuPartition, ...]:
    share = memory // len(card) if memory else None
    return tuple(_partition(node, share) for node in card)


def _partition(node: Node, share: int | None) -> GpuPartition:
    sizes = [size for size in (node.memory, share) if size]
    return GpuPartition(node.number, node.render, min(sizes, default=None))


def _problem(root: Path, card: Card) -> str:
    """Return why a container cannot use the card: its device nodes have no name, or do not exist."""
    if not all(node.render for node in card):
        return "the kernel names no render node for it"
    if not sysfs.exists(root / "dev/dri"):
        return ""  # a copy of the topology, or a container without device nodes
    missing = [node.render for node in card if not sysfs.exists(root / node.render.lstrip("/"))]
    return f"its render node does not exist: {', '.join(missing)}" if missing else ""


def _linked_cpu(card: Card, table: CardTable) -> int | None:
    """Return the processor that a link leads to. KFD numbers processors first, in NUMA order."""
    return min((to for node in card for _, to in node.links if to in table.cpus), default=None)


def _links(index: int, table: CardTable) -> tuple[int, ...]:
    """Return the cards one xGMI link away. If no links can be read, return the cards of the same hive."""
    cards = table.cards
    if any(node.links for card in cards for node in card):
        ends = {
            table.card_of_node.get(to) for node in cards[index] for kind, to in node.links if kind == XGMI
        }
        return tuple(sorted(end for end in ends if end is not None and end != index))
    hive = cards[index][0].get("hive_id")
    same = (other for other, nodes in enumerate(cards) if other != index and nodes[0].get("hive_id") == hive)
    return tuple(same) if hive else ()


def _processes(root: Path, card: Card) -> tuple[GpuProcess, ...]:
    """Return the processes that use VRAM of a card, as KFD counts it."""
    processes = []
    for pid, folder in sysfs.numbered_entries(root / "sys/class/kfd/kfd/proc"):
        sizes = (sysfs.read_number(folder / f"vram_{node.gpu_id}") or 0 for node in card if node.gpu_id)
        used = sum(sizes)
        if used > 0:
            processes.append(GpuProcess(pid, sysfs.read_text(root / f"proc/{pid}/comm"), used))
    return tuple(processes)
