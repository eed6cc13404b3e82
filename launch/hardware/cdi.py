"""Read the host's CDI specs and match their device names to the detected GPUs.

The format: github.com/cncf-tags/container-device-interface, SPEC.md. No spec raises; an invalid one is reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from launch.checked_data.data_file import parse_yaml
from launch.hardware import sysfs
from launch.hardware.types import Gpu, VendorReport

FOLDERS = ("etc/cdi", "var/run/cdi")
KINDS = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
INVALID = (OSError, ValueError, yaml.YAMLError, RecursionError, TypeError, KeyError, AttributeError)

Nodes = tuple[str, ...]


@dataclass(frozen=True)
class CdiSpec:
    """One file of /etc/cdi or /var/run/cdi. `missing` are device nodes in it that do not exist."""

    path: str
    kind: str = ""
    names: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()  # versions of libcuda or libnvidia-ml that it mounts
    missing: tuple[str, ...] = ()
    error: str = ""
    nodes: tuple[Nodes, ...] = ()  # the device nodes of each name


def read_specs(root: Path = Path("/")) -> tuple[CdiSpec, ...]:
    """Return every CDI spec of the host; one that cannot be read has an `error`."""
    paths = (path for folder in FOLDERS for path in sysfs.entries(root / folder))
    return tuple(read_spec(path, root) for path in paths if path.suffix in (".json", ".yaml", ".yml"))


def read_spec(path: Path, root: Path = Path("/")) -> CdiSpec:
    """Return one CDI spec."""
    name = "/" + str(path.relative_to(root))
    try:
        text = path.read_text()
        data = json.loads(text) if path.suffix == ".json" else parse_yaml(text)
        return _spec(name, data, root)
    except INVALID as error:
        return CdiSpec(name, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _spec(path: str, data: dict[str, Any], root: Path) -> CdiSpec:
    devices = data["devices"]
    edits = [data.get("containerEdits") or {}, *(entry.get("containerEdits") or {} for entry in devices)]
    nodes = [tuple(_nodes(edit)) for edit in edits]
    mounts = [str(mount["hostPath"]) for edit in edits for mount in edit.get("mounts") or ()]
    all_nodes = {node for group in nodes for node in group}
    return CdiSpec(
        path,
        kind=str(data["kind"]),
        names=tuple(str(entry["name"]) for entry in devices),
        drivers=tuple(sorted({version for mount in mounts for version in _driver(mount)})),
        missing=tuple(sorted(node for node in all_nodes if not sysfs.exists(root / node.lstrip("/")))),
        nodes=tuple(nodes[1:]),
    )


def _nodes(edit: Mapping[str, Any]) -> Iterator[str]:
    return (str(node.get("hostPath") or node["path"]) for node in edit.get("deviceNodes") or ())


def _driver(mount: str) -> Iterator[str]:
    match = re.search(r"lib(?:cuda|nvidia-ml)\.so\.([0-9]+\.[0-9.]+)$", mount)
    if match:
        yield match.group(1)


def with_names(report: VendorReport, specs: Iterable[CdiSpec]) -> VendorReport:
    """Return one vendor's GPUs with the CDI names that stand for exactly them."""
    kind = KINDS.get(report.vendor, "")
    entries = {
        f"{kind}={name}": nodes
        for spec in specs
        if spec.kind == kind and not spec.error
        for name, nodes in zip(spec.names, spec.nodes, strict=False)
        if name != "all"
    }
    name_gpu = _name_amd if report.vendor == "amd" else _name_nvidia
    return replace(report, gpus=tuple(name_gpu(gpu, entries) for gpu in report.gpus))


def _name_nvidia(gpu: Gpu, entries: Mapping[str, Nodes]) -> Gpu:
    """Match by UUID, else by the index that nvidia-ctk and NVML share, in either of its spellings."""
    spellings = (gpu.uuid, str(gpu.index), f"gpu{gpu.index}")
    names = (f"{KINDS['nvidia']}={spelling}" for spelling in spellings if spelling)
    return replace(gpu, cdi=next((name for name in names if name in entries), ""))


def _name_amd(gpu: Gpu, entries: Mapping[str, Nodes]) -> Gpu:
    """Match by render nodes, because AMD numbers its entries in PCI order, which may differ from the driver's."""
    by_nodes: dict[frozenset[str], str] = {}
    for name, nodes in entries.items():
        by_nodes.setdefault(frozenset(node for node in nodes if "/renderD" in node), name)
    parts = tuple(replace(part, cdi=by_nodes.get(frozenset({part.render}), "")) for part in gpu.parts)
    card = by_nodes.get(frozenset(gpu.devices), "") if gpu.devices else ""
    return replace(gpu, cdi=card, parts=parts)
