"""KFD's topology: the nodes that HIP counts as devices, and which of them are one card.

Field names: the kernel's `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`. Any of them may be missing: old kernels do not
know them, and inside a container those of other containers' GPUs may not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.hardware import sysfs

VRAM_HEAPS = (1, 2)  # frame buffer, public and private
MODES = {2: "DPX", 3: "TPX", 4: "QPX"}


@dataclass(frozen=True)
class Node:
    """One KFD node that computes: a GPU, a die of one, or a partition."""

    number: int
    gpu_id: int
    properties: dict[str, int]
    memory: int | None = None
    links: tuple[tuple[int, int], ...] = ()  # (kind, to node)
    pci: str = ""  # of its card: partitions have no address of their own
    render: str = ""

    def get(self, name: str) -> int:
        """A property, 0 where the kernel does not say."""
        return self.properties.get(name, 0)


@dataclass(frozen=True)
class Topology:
    """All of it: the nodes that compute, the numbers of the processors' nodes, and what could not be read."""

    nodes: tuple[Node, ...] = ()
    cpus: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


def read(root: Path) -> Topology:
    """A host's topology, or that of a copy of /sys/class/kfd/kfd; empty where there is none."""
    places = (root / "sys/class/kfd/kfd/topology/nodes", root / "topology/nodes")
    place = next((place for place in places if sysfs.numbered(place)), places[0])
    renders = _renders(root)
    nodes, cpus, unread = [], [], []
    for number, folder in sysfs.numbered(place):
        given = sysfs.properties(sysfs.text(folder / "properties"))
        if given.get("simd_count", 0) > 0 or given.get("gfx_target_version", 0) > 0:
            nodes.append(_node(root, number, folder, given, renders))
        elif given.get("cpu_cores_count", 0) > 0:
            cpus.append(number)
        elif not given:
            unread.append((number, folder / "properties"))
    return Topology(tuple(nodes), tuple(cpus), tuple(_problems(unread)))


def _problems(unread: list[tuple[int, Path]]) -> Iterable[str]:
    """The kernel refuses the nodes of GPUs whose render nodes this process's cgroup closes (-EPERM)."""
    closed = [number for number, path in unread if sysfs.is_closed(path)]
    if closed:
        yield f"{len(closed)} more GPU node(s) that this process may not see: its container was not given them"
    for number, _ in unread:
        if number not in closed:
            yield f"KFD node {number}: its properties cannot be read"


def _node(root: Path, number: int, folder: Path, given: dict[str, int], renders: dict[str, str]) -> Node:
    minor, pci = given.get("drm_render_minor", 0), _pci(root, given)
    return Node(
        number,
        sysfs.read_number(folder / "gpu_id") or 0,
        given,
        _memory(folder) or given.get("local_mem_size") or None,
        tuple(_links(folder)),
        pci,
        f"/dev/dri/renderD{minor}" if minor > 0 else renders.get(pci, ""),
    )


def _pci(root: Path, given: dict[str, int]) -> str:
    """Where its card is. Kernels put a partition's number into the function's bits or into the highest four.

    A function that the bus has is a GPU of its own. Hyper-V numbers GPUs by domain alone, all at 00:00.0.
    """
    domain, place = given.get("domain", 0) & 0xFFFFFFFF, given.get("location_id", 0) & 0xFFFF
    if not (domain or place >> 3):
        return ""
    slot = f"{domain:04x}:{place >> 8:02x}:{place >> 3 & 31:02x}"
    own = f"{slot}.{place & 7}"
    return own if sysfs.is_here(root / "sys/bus/pci/devices" / own) else f"{slot}.0"


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


def cards(nodes: Iterable[Node]) -> tuple[tuple[Node, ...], ...]:
    """Nodes by card: what stands at one PCI address. A copy without addresses has only their unique_id.

    That is no key where there is an address: virtual functions may all have none, or one and the same, and new
    kernels give each partition one of its own.
    """
    found: dict[tuple[str, int], list[Node]] = {}
    for node in nodes:
        unique = node.get("unique_id")
        key = (node.pci, 0) if node.pci else ("unique", unique) if unique else ("node", node.number)
        found.setdefault(key, []).append(node)
    return tuple(map(tuple, found.values()))


def mode(card: Sequence[Node]) -> str:
    """The compute partition mode, from the number of nodes and the compute dies (XCC) in each."""
    dies = card[0].get("num_xcc")
    if len(card) == 1:
        return "SPX" if dies > 1 else ""
    return "CPX" if dies == 1 else MODES.get(len(card), "")
