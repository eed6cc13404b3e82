"""AMD GPUs from the kernel's own files: KFD topology and DRM. No vendor tool, no privilege.

A KFD node is what HIP counts as a device. A card may have several (8 on MI300X in CPX): nodes are grouped by
`unique_id`. Render nodes are not 128 + i, `drm_render_minor` says which they are.
Field names: the kernel's `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launch.hardware import models, sysfs
from launch.hardware.facts import Gpu, Part, Process, Seen

VENDOR = 0x1002
XGMI, PCIE = 11, 2  # HSA_IOLINKTYPE
VRAM_HEAPS = (1, 2)  # frame buffer, public and private
MODES = {2: "DPX", 3: "TPX", 4: "QPX"}


@dataclass(frozen=True)
class Node:
    """One KFD node that computes."""

    number: int
    gpu_id: int
    properties: dict[str, int]
    memory: int | None = None
    links: tuple[tuple[int, int], ...] = ()  # (kind, to node)
    render: str = ""

    def get(self, name: str) -> int:
        """A property, 0 where the kernel does not say."""
        return self.properties.get(name, 0)

    @property
    def slot(self) -> tuple[int, int]:
        """PCI domain, and bus with device: what partitions of one card have in common."""
        return self.get("domain"), self.get("location_id") >> 3

    @property
    def pci(self) -> str:
        """The PCI address of its card's first function; partitions have none of their own."""
        domain, place = self.slot
        return f"{domain:04x}:{place >> 5:02x}:{place & 31:02x}.0" if place else ""


@dataclass(frozen=True)
class Drm:
    """What DRM says about a card, by its PCI address."""

    memory: int | None = None
    used: int | None = None
    numa: int | None = None
    name: str = ""
    partition: str = ""
    memory_partition: str = ""


def read(root: Path = Path("/")) -> Seen:
    """The AMD GPUs below a root folder: a host's `/`, or a copy of its KFD topology."""
    topology = _topology(root)
    if topology is None:
        return Seen("amd", driver=sysfs.text(root / "sys/module/amdgpu/version"))
    nodes, problems = _nodes(topology, _renders(root))
    cards = _cards(nodes)
    owner = {node.number: index for index, card in enumerate(cards) for node in card}
    gpus = tuple(_gpu(root, index, card, cards, owner) for index, card in enumerate(cards))
    return Seen("amd", driver=sysfs.text(root / "sys/module/amdgpu/version"), gpus=gpus, problems=problems)


def _topology(root: Path) -> Path | None:
    """A host's, or that of a copy of /sys/class/kfd/kfd."""
    places = (root / "sys/class/kfd/kfd/topology/nodes", root / "topology/nodes")
    return next((place for place in places if sysfs.numbered(place)), None)


def _nodes(topology: Path, renders: dict[str, str]) -> tuple[list[Node], tuple[str, ...]]:
    found, problems = [], []
    for number, folder in sysfs.numbered(topology):
        given = sysfs.properties(sysfs.text(folder / "properties"))
        if not given:
            problems.append(f"KFD node {number}: its properties cannot be read")
        elif given.get("simd_count", 0) > 0 or given.get("gfx_target_version", 0) > 0:
            found.append(_node(number, folder, given, renders))
    return found, tuple(problems)


def _node(number: int, folder: Path, given: dict[str, int], renders: dict[str, str]) -> Node:
    node = Node(
        number,
        sysfs.read_number(folder / "gpu_id") or 0,
        given,
        _memory(folder) or given.get("local_mem_size") or None,
        tuple(_links(folder)),
    )
    minor = node.get("drm_render_minor")
    render = f"/dev/dri/renderD{minor}" if minor > 0 else renders.get(node.pci, "")
    return Node(number, node.gpu_id, given, node.memory, node.links, render)


def _memory(folder: Path) -> int:
    banks = (
        sysfs.properties(sysfs.text(bank / "properties")) for bank in sysfs.entries(folder / "mem_banks")
    )
    return sum(max(0, b.get("size_in_bytes", 0)) for b in banks if b.get("heap_type") in VRAM_HEAPS)


def _links(folder: Path) -> Iterable[tuple[int, int]]:
    for kind in ("io_links", "p2p_links"):
        for link in sysfs.entries(folder / kind):
            given = sysfs.properties(sysfs.text(link / "properties"))
            if "node_to" in given:
                yield given.get("type", 0), given["node_to"]


def _renders(root: Path) -> dict[str, str]:
    """Render nodes by PCI address, for kernels whose KFD does not name them."""
    found = {}
    for entry in sysfs.entries(root / "sys/class/drm"):
        address = sysfs.link_name(entry / "device")
        if entry.name.startswith("renderD") and address:
            found[address] = f"/dev/dri/{entry.name}"
    return found


def _cards(nodes: list[Node]) -> list[list[Node]]:
    """Nodes by card. Without a unique_id (old kernels, virtual functions) the PCI slot tells cards apart."""
    cards: dict[tuple[int, ...], list[Node]] = {}
    for node in nodes:
        unique = node.get("unique_id")
        place = node.slot if node.slot[1] else (node.number, -1)
        cards.setdefault((unique,) if unique else (0, *place), []).append(node)
    return list(cards.values())


def _gpu(root: Path, index: int, card: list[Node], cards: list[list[Node]], owner: dict[int, int]) -> Gpu:
    first = card[0]
    model = models.amd(first.get("device_id"), first.get("simd_count"))
    drm = _drm(root, first.pci)
    banks = [node.memory for node in card]
    summed = sum(bank for bank in banks if bank) if all(banks) else None
    memory = drm.memory or summed
    share = memory // len(card) if memory else None
    return Gpu(
        index=index,
        vendor="amd",
        name=drm.name or (model.name if model else f"AMD GPU 1002:{first.get('device_id'):04x}"),
        hardware=model.id if model else "",
        arch=models.gfx(first.get("gfx_target_version")),
        uuid=f"GPU-{first.get('unique_id'):016x}" if first.get("unique_id") else "",
        pci=first.pci,
        numa=drm.numa if drm.numa is not None else _near(card, owner),
        memory=memory,
        used=drm.used,
        links=_linked(index, card, cards, owner),
        processes=_processes(root, card),
        parts=tuple(Part(node.number, node.render, node.memory or share) for node in card),
        partition=drm.partition or _mode(card),
        memory_partition=drm.memory_partition,
        problem="" if all(node.render for node in card) else "the kernel names no render node for it",
    )


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
        sysfs.text(folder / "current_compute_partition"),
        sysfs.text(folder / "current_memory_partition"),
    )


def _near(card: list[Node], owner: dict[int, int]) -> int | None:
    """The CPU node at the other end of a PCIe link: KFD numbers CPU nodes first, in NUMA order."""
    ends = [to for node in card for kind, to in node.links if kind == PCIE and to not in owner]
    return min(ends, default=None)


def _linked(index: int, card: list[Node], cards: list[list[Node]], owner: dict[int, int]) -> tuple[int, ...]:
    """Cards one xGMI link away; where the links cannot be read, those of the same hive."""
    if any(node.links for nodes in cards for node in nodes):
        ends = {owner.get(to) for node in card for kind, to in node.links if kind == XGMI}
        return tuple(sorted(end for end in ends if end is not None and end != index))
    hive = card[0].get("hive_id")
    same = (other for other, nodes in enumerate(cards) if other != index and nodes[0].get("hive_id") == hive)
    return tuple(same) if hive else ()


def _mode(card: list[Node]) -> str:
    """The compute partition mode, from the number of nodes and the compute dies (XCC) in each."""
    dies = card[0].get("num_xcc")
    if len(card) == 1:
        return "SPX" if dies > 1 else ""
    if len({node.slot for node in card}) > 1:
        return ""  # dies with a PCI address each (MI250): nothing was partitioned
    return "CPX" if dies == 1 else MODES.get(len(card), "")


def _processes(root: Path, card: list[Node]) -> tuple[Process, ...]:
    """Who holds VRAM of a card, as KFD counts it; processes with none are left out."""
    found = []
    for pid, folder in sysfs.numbered(root / "sys/class/kfd/kfd/proc"):
        held = sum(sysfs.read_number(folder / f"vram_{node.gpu_id}") or 0 for node in card if node.gpu_id)
        if held > 0:
            found.append(Process(pid, sysfs.text(root / f"proc/{pid}/comm"), held))
    return tuple(found)
