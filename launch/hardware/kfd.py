"""Read KFD's topology: the nodes that HIP counts as devices, and which of them belong to one card.

Field names: the kernel's `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`. Any of them may be missing, because old kernels
do not have them, and because a container may not read those of other containers' GPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.hardware import sysfs
from launch.plural import count

VRAM_HEAPS = (1, 2)  # frame buffer, public and private
MODES = {2: "DPX", 3: "TPX", 4: "QPX"}


@dataclass(frozen=True)
class Node:
    """One KFD node that computes: a GPU, a die of a GPU, or a partition."""

    number: int
    gpu_id: int
    properties: dict[str, int]
    memory: int | None = None
    links: tuple[tuple[int, int], ...] = ()  # (kind, to node)
    pci: str = ""  # of its card, because partitions have no address of their own
    render: str = ""

    def get(self, name: str) -> int:
        """Return a property, 0 if the kernel does not report it."""
        return self.properties.get(name, 0)


@dataclass(frozen=True)
class Topology:
    """The nodes that compute, the numbers of the processors' nodes, and what could not be read."""

    nodes: tuple[Node, ...] = ()
    cpus: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


def read(root: Path) -> Topology:
    """Return the topology of a host, or of a copy of /sys/class/kfd/kfd; empty if there is none."""
    folders = (root / "sys/class/kfd/kfd/topology/nodes", root / "topology/nodes")
    nodes_folder = next((folder for folder in folders if sysfs.numbered_entries(folder)), folders[0])
    renders = _renders(root)
    nodes, cpus, unread = [], [], []
    for number, folder in sysfs.numbered_entries(nodes_folder):
        properties = sysfs.parse_properties(sysfs.read_text(folder / "properties"))
        if properties.get("simd_count", 0) > 0 or properties.get("gfx_target_version", 0) > 0:
            nodes.append(_node(root, number, folder, properties, renders))
        elif properties.get("cpu_cores_count", 0) > 0:
            cpus.append(number)
        elif not properties:
            unread.append((number, folder / "properties"))
    return Topology(tuple(nodes), tuple(cpus), tuple(_problems(unread)))


def _problems(unread: list[tuple[int, Path]]) -> Iterable[str]:
    """The kernel refuses the nodes of GPUs whose render nodes are closed to this process's cgroup (-EPERM)."""
    denied = [number for number, path in unread if sysfs.is_denied(path)]
    if denied:
        yield f"{count(len(denied), 'more GPU node')} that this process may not read: they belong to other containers"
    for number, _ in unread:
        if number not in denied:
            yield f"KFD node {number}: its properties cannot be read"


def _node(root: Path, number: int, folder: Path, properties: dict[str, int], renders: dict[str, str]) -> Node:
    minor, pci = properties.get("drm_render_minor", 0), _pci(root, properties)
    return Node(
        number,
        sysfs.read_number(folder / "gpu_id") or 0,
        properties,
        _memory(folder) or properties.get("local_mem_size") or None,
        tuple(_links(folder)),
        pci,
        f"/dev/dri/renderD{minor}" if minor > 0 else renders.get(pci, ""),
    )


def _pci(root: Path, properties: dict[str, int]) -> str:
    """Return the PCI address of its card.

    Kernels put a partition's number into the function's bits or into the highest four. A function that exists on the
    bus is a GPU of its own. Hyper-V numbers GPUs by domain alone, all at 00:00.0.
    """
    domain, place = properties.get("domain", 0) & 0xFFFFFFFF, properties.get("location_id", 0) & 0xFFFF
    if not (domain or place >> 3):
        return ""
    slot = f"{domain:04x}:{place >> 8:02x}:{place >> 3 & 31:02x}"
    function = f"{slot}.{place & 7}"
    return function if sysfs.exists(root / "sys/bus/pci/devices" / function) else f"{slot}.0"


def _memory(folder: Path) -> int:
    banks = (
        sysfs.parse_properties(sysfs.read_text(bank / "properties"))
        for bank in sysfs.entries(folder / "mem_banks")
    )
    return sum(max(0, b.get("size_in_bytes", 0)) for b in banks if b.get("heap_type") in VRAM_HEAPS)


def _links(folder: Path) -> Iterable[tuple[int, int]]:
    for kind in ("io_links", "p2p_links"):
        for link in sysfs.entries(folder / kind):
            properties = sysfs.parse_properties(sysfs.read_text(link / "properties"))
            if "node_to" in properties:
                yield properties.get("type", 0), properties["node_to"]


def _renders(root: Path) -> dict[str, str]:
    """Return render nodes by PCI address, for kernels whose KFD does not name them."""
    renders = {}
    for entry in sysfs.entries(root / "sys/class/drm"):
        address = sysfs.link_target(entry / "device")
        if entry.name.startswith("renderD") and address:
            renders[address] = f"/dev/dri/{entry.name}"
    return renders


def cards(nodes: Iterable[Node]) -> tuple[tuple[Node, ...], ...]:
    """Group nodes by card, which is their PCI address; by unique_id in a copy without addresses.

    The address comes first because a unique_id is not reliable: virtual functions may all have none or the same one,
    and new kernels give each partition its own.
    """
    groups: dict[tuple[str, int], list[Node]] = {}
    for node in nodes:
        unique = node.get("unique_id")
        key = (node.pci, 0) if node.pci else ("unique", unique) if unique else ("node", node.number)
        groups.setdefault(key, []).append(node)
    return tuple(map(tuple, groups.values()))


def mode(card: Sequence[Node]) -> str:
    """Return the compute partition mode, from the number of nodes and of compute dies (XCC) in each."""
    dies = card[0].get("num_xcc")
    if len(card) == 1:
        return "SPX" if dies > 1 else ""
    return "CPX" if dies == 1 else MODES.get(len(card), "")
