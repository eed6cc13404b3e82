"""Simulate how long a fleet needs for its image and its weights, by the way in which the bytes arrive.

    python -m benchmarks.scale [--inputs FILE] [--format json]

It is arithmetic with the inputs of scale.yaml, most of them assumptions about a site; nothing is measured here. Peer to
peer is simulated as `fetch --from` and `serve-weights` do it: a host serves one other at a time, when it has all files.
"""

from __future__ import annotations

import argparse
import heapq
import json
from dataclasses import dataclass
from pathlib import Path

from launch.checked_data.data_file import load

NODES = (1, 8, 100, 1000)
NODES_OF_A_GROUP = 2


@dataclass(frozen=True)
class Input:
    """One number with its source."""

    value: float
    source: str


@dataclass(frozen=True)
class Site:
    """Sizes in GB (10**9 bytes), rates in GB/s, times in seconds."""

    weights_gb: Input
    image_gb: Input
    origin_gb_s: Input
    node_gb_s: Input
    mirror_gb_s: Input
    shared_gb_s: Input
    disk_gb_s: Input
    served_gb_s: Input
    import_seconds: Input
    pod_events: Input


def from_origin(site: Site, size: float, nodes: int) -> float:
    """Return the seconds until each node has a copy, if all share the site's link."""
    return max(size / site.node_gb_s.value, nodes * size / site.origin_gb_s.value)


def from_mirror(site: Site, size: float, nodes: int) -> float:
    """Return the same with a mirror in the cluster, which gets the bytes once from the origin first."""
    return size / site.origin_gb_s.value + max(
        size / site.node_gb_s.value, nodes * size / site.mirror_gb_s.value
    )


def from_shared(site: Site, size: float, nodes: int) -> float:
    """Return the seconds in which all nodes read a shared file system at the same time; nothing is copied."""
    return max(size / site.node_gb_s.value, nodes * size / site.shared_gb_s.value)


def from_peers(site: Site, size: float, nodes: int) -> float:
    """Return the seconds until each node has a copy, if each that has all files serves one other at a time."""
    copy = size / min(site.node_gb_s.value, site.served_gb_s.value)
    free = [size / site.origin_gb_s.value]  # when each host with a copy can serve the next
    for _ in range(nodes - 1):
        done = heapq.heappop(free) + copy
        heapq.heappush(free, done)
        heapq.heappush(free, done)
    return max(free)


def from_disk(site: Site, size: float, nodes: int) -> float:
    """Return the seconds in which each node reads its own copy."""
    return size / site.disk_gb_s.value


def objects(nodes: int) -> int:
    """Return the objects of the API server: set, two Services and the pods of each group of two nodes."""
    groups = max(1, nodes // NODES_OF_A_GROUP)
    return groups * 3 + nodes


def rows(site: Site) -> list[dict[str, float]]:
    """Return the figures for each number of nodes."""
    weights, image = site.weights_gb.value, site.image_gb.value
    return [
        {
            "nodes": nodes,
            "image, shared link": from_origin(site, image, nodes),
            "image, mirror": from_mirror(site, image, nodes),
            "weights, shared link": from_origin(site, weights, nodes),
            "weights, mirror": from_mirror(site, weights, nodes),
            "weights, shared file system": from_shared(site, weights, nodes),
            "weights, peer to peer": from_peers(site, weights, nodes),
            "weights, cached on the node": from_disk(site, weights, nodes),
            "ready, all cached": site.import_seconds.value + from_disk(site, weights, nodes),
            "objects": objects(nodes),
            "updates of pods in a start": nodes * site.pod_events.value,
        }
        for nodes in NODES
    ]


def table(found: list[dict[str, float]]) -> str:
    """Return the figures as a Markdown table, seconds as minutes where that is shorter."""
    heads = ["", *(f"{row['nodes']:,} nodes" if row["nodes"] > 1 else "1 node" for row in found)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name in list(found[0])[1:]:
        counted = name in ("objects", "updates of pods in a start")
        cells = [f"{row[name]:,.0f}" if counted else duration(row[name]) for row in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return seconds, minutes, hours or days, with two digits."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--format", choices=("table", "json"), default="table")
    asked = parser.parse_args()
    found = rows(load(asked.inputs, Site))
    print(json.dumps(found, indent=1) if asked.format == "json" else table(found))


if __name__ == "__main__":
    main()
