"""AMD GPUs from the kernel's own files: KFD topology and DRM. No vendor tool, no privilege.

A KFD node is what HIP counts as a device. A card may have several (8 on MI300X in CPX), and is one GPU here.
Render nodes are not 128 + i, `drm_render_minor` says which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.hardware import gpu_ids, kfd, sysfs
from launch.hardware.kfd import Node
from launch.hardware.types import Gpu, Part, Process, Seen

XGMI = 11  # HSA_IOLINKTYPE


@dataclass(frozen=True)
class Drm:
    """What DRM says about a card, by its PCI address."""

    memory: int | None = None
    used: int | None = None
    numa: int | None = None
    name: str = ""
    partition: str = ""
    memory_partition: str = ""


@dataclass(frozen=True)
class Layout:
    """The cards of a topology, whose each node is, and which nodes are processors."""

    cards: tuple[tuple[Node, ...], ...]
    owner: dict[int, int]
    cpus: tuple[int, ...]


def read(root: Path = Path("/")) -> Seen:
    """The AMD GPUs below a root folder: a host's `/`, or a copy of its KFD topology."""
    topology = kfd.read(root)
    cards = kfd.cards(topology.nodes)
    owner = {node.number: index for index, card in enumerate(cards) for node in card}
    layout = Layout(cards, owner, topology.cpus)
    gpus = tuple(_gpu(root, index, layout) for index in range(len(cards)))
    driver = sysfs.text(root / "sys/module/amdgpu/version")
    return Seen("amd", driver=driver, gpus=gpus, problems=topology.problems)


def _gpu(root: Path, index: int, layout: Layout) -> Gpu:
    card = layout.cards[index]
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
        numa=drm.numa if drm.numa is not None else _near(card, layout),
        memory=memory,
        used=drm.used if memory == drm.memory else None,
        links=_linked(index, layout),
        processes=_processes(root, card),
        parts=_parts(card, memory),
        partition=drm.partition or kfd.mode(card),
        memory_partition=drm.memory_partition,
        problem=_problem(root, card),
    )


def _uuid(card: Sequence[Node]) -> str:
    """What all its nodes are called; "" where each partition has a name of its own, or none has one."""
    names = {node.get("unique_id") for node in card}
    return f"GPU-{names.pop():016x}" if len(names) == 1 and 0 not in names else ""


def _drm(root: Path, pci: str) -> Drm:
    folder = root / "sys/bus/pci/devices" / pci if pci else None
    if folder is None:
        return Drm()
    numa = sysfs.read_number(folder / "numa_node")
    return Drm(
        sysfs.read_number(folder / "mem_info_vram_total"),
        sysfs.read_number(folder / "mem_info_vram_used"),
        numa if numa is not None and numa >= 0 else None,
        sysfs.text(folder / "product_name"),
        sysfs.text(folder / "current_compute_partition").upper(),
        sysfs.text(folder / "current_memory_partition").upper(),
    )


def _memory(card: Sequence[Node], drm: Drm) -> int | None:
    """DRM's figure. An APU's is only what the firmware set aside, often none: KFD knows what HIP may take.

    KFD's are summed only where DRM is silent or an APU's: partitions may each show the whole memory as theirs.
    """
    banks = [node.memory or 0 for node in card]
    if drm.memory and drm.memory >= max(banks):
        return drm.memory
    return sum(banks) if all(banks) else drm.memory or None


def _parts(card: Sequence[Node], memory: int | None) -> tuple[Part, ...]:
    share = memory // len(card) if memory else None
    sizes = ([size for size in (node.memory, share) if size] for node in card)
    return tuple(
        Part(node.number, node.render, min(known, default=None))
        for node, known in zip(card, sizes, strict=True)
    )


def _problem(root: Path, card: Sequence[Node]) -> str:
    """Why no container can be given it: its device nodes have no name, or are gone."""
    if not all(node.render for node in card):
        return "the kernel names no render node for it"
    if not sysfs.is_here(root / "dev/dri"):
        return ""  # a copy of the topology, or a container without device nodes
    gone = [node.render for node in card if not sysfs.is_here(root / node.render.lstrip("/"))]
    return f"its render node is not here: {', '.join(gone)}" if gone else ""


def _near(card: Sequence[Node], layout: Layout) -> int | None:
    """The CPU node at the other end of a link: KFD numbers CPU nodes first, in NUMA order."""
    return min((to for node in card for _, to in node.links if to in layout.cpus), default=None)


def _linked(index: int, layout: Layout) -> tuple[int, ...]:
    """Cards one xGMI link away; where the links cannot be read, those of the same hive."""
    cards = layout.cards
    if any(node.links for card in cards for node in card):
        ends = {layout.owner.get(to) for node in cards[index] for kind, to in node.links if kind == XGMI}
        return tuple(sorted(end for end in ends if end is not None and end != index))
    hive = cards[index][0].get("hive_id")
    same = (other for other, nodes in enumerate(cards) if other != index and nodes[0].get("hive_id") == hive)
    return tuple(same) if hive else ()


def _processes(root: Path, card: Sequence[Node]) -> tuple[Process, ...]:
    """Who holds VRAM of a card, as KFD counts it; processes with none are left out."""
    found = []
    for pid, folder in sysfs.numbered(root / "sys/class/kfd/kfd/proc"):
        held = sum(sysfs.read_number(folder / f"vram_{node.gpu_id}") or 0 for node in card if node.gpu_id)
        if held > 0:
            found.append(Process(pid, sysfs.text(root / f"proc/{pid}/comm"), held))
    return tuple(found)
