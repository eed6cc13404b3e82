"""CDI specs of a host: names by which an engine hands over devices, and which of them are this host's GPUs.

The format: github.com/cncf-tags/container-device-interface, SPEC.md. Nothing found here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from launch.data_file import parse_yaml
from launch.hardware import sysfs
from launch.hardware.types import Gpu, Seen

FOLDERS = ("etc/cdi", "var/run/cdi")
KINDS = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
BROKEN = (OSError, ValueError, yaml.YAMLError, RecursionError, TypeError, KeyError, AttributeError)

Nodes = tuple[str, ...]


@dataclass(frozen=True)
class CdiSpec:
    """One file of /etc/cdi or /var/run/cdi. `missing` are device nodes it names that do not exist."""

    path: str
    kind: str = ""
    names: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()  # versions of libcuda or libnvidia-ml that it mounts
    missing: tuple[str, ...] = ()
    error: str = ""
    nodes: tuple[Nodes, ...] = ()  # the device nodes of each name alone


def specs(root: Path = Path("/")) -> tuple[CdiSpec, ...]:
    """Every CDI spec of the host, read or said to be unreadable."""
    found = []
    for folder in FOLDERS:
        for path in sysfs.entries(root / folder):
            if path.suffix in (".json", ".yaml", ".yml"):
                found.append(spec(path, root))
    return tuple(found)


def spec(path: Path, root: Path = Path("/")) -> CdiSpec:
    """One CDI spec."""
    shown = "/" + str(path.relative_to(root))
    try:
        given = path.read_text()
        data = json.loads(given) if path.suffix == ".json" else parse_yaml(given)
        return _spec(shown, data, root)
    except BROKEN as error:
        return CdiSpec(shown, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _spec(shown: str, data: dict[str, Any], root: Path) -> CdiSpec:
    devices = data["devices"]
    edits = [data.get("containerEdits") or {}, *(entry.get("containerEdits") or {} for entry in devices)]
    nodes = [tuple(_nodes(edit)) for edit in edits]
    mounts = [str(mount["hostPath"]) for edit in edits for mount in edit.get("mounts") or ()]
    named = {path for paths in nodes for path in paths}
    return CdiSpec(
        shown,
        kind=str(data["kind"]),
        names=tuple(str(entry["name"]) for entry in devices),
        drivers=tuple(sorted({version for mount in mounts for version in _driver(mount)})),
        missing=tuple(sorted(path for path in named if not sysfs.is_here(root / path.lstrip("/")))),
        nodes=tuple(nodes[1:]),
    )


def _nodes(edit: Mapping[str, Any]) -> Iterator[str]:
    return (str(node.get("hostPath") or node["path"]) for node in edit.get("deviceNodes") or ())


def _driver(mount: str) -> Iterator[str]:
    match = re.search(r"lib(?:cuda|nvidia-ml)\.so\.([0-9]+\.[0-9.]+)$", mount)
    if match:
        yield match.group(1)


def named(seen: Seen, known: Iterable[CdiSpec]) -> Seen:
    """One vendor's GPUs with the CDI names that hand over exactly them."""
    kind = KINDS.get(seen.vendor, "")
    entries = {
        f"{kind}={name}": nodes
        for found in known
        if found.kind == kind and not found.error
        for name, nodes in zip(found.names, found.nodes, strict=False)
        if name != "all"
    }
    name = _amd if seen.vendor == "amd" else _nvidia
    return replace(seen, gpus=tuple(name(gpu, entries) for gpu in seen.gpus))


def _nvidia(gpu: Gpu, entries: Mapping[str, Nodes]) -> Gpu:
    """By UUID, else by the index that nvidia-ctk and NVML share, in either of its spellings."""
    spellings = (gpu.uuid, str(gpu.index), f"gpu{gpu.index}")
    names = (f"{KINDS['nvidia']}={word}" for word in spellings if word)
    return replace(gpu, cdi=next((name for name in names if name in entries), ""))


def _amd(gpu: Gpu, entries: Mapping[str, Nodes]) -> Gpu:
    """By render nodes: AMD numbers its entries in PCI order, which need not be the driver's."""
    by_nodes: dict[frozenset[str], str] = {}
    for name, nodes in entries.items():
        by_nodes.setdefault(frozenset(node for node in nodes if "/renderD" in node), name)
    parts = tuple(replace(part, cdi=by_nodes.get(frozenset({part.render}), "")) for part in gpu.parts)
    whole = by_nodes.get(frozenset(gpu.devices), "") if gpu.devices else ""
    return replace(gpu, cdi=whole, parts=parts)
