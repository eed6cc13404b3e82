"""Read the processor and the memory from procfs and sysfs: what vLLM's CPU backend depends on."""

from __future__ import annotations

import platform
from pathlib import Path

from launch.hardware import sysfs
from launch.hardware.types import Cpu

# Slipway's name -> the kernel's flag (arch/x86/include/asm/cpufeatures.h). vLLM on a CPU needs AVX2 at least.
FEATURES = {"avx2": "avx2", "avx512": "avx512f", "avx512_bf16": "avx512_bf16", "amx": "amx_tile"}


def read(root: Path = Path("/")) -> Cpu:
    """Return the CPU below a root folder."""
    blocks = _blocks(sysfs.read_text(root / "proc/cpuinfo"))
    first = blocks[0] if blocks else {}
    flags = set(first.get("flags", first.get("Features", "")).split())
    memory = _memory(sysfs.read_text(root / "proc/meminfo"))
    return Cpu(
        model=first.get("model name", ""),
        arch=platform.machine() if root == Path("/") else "",
        cores=_cores(blocks),
        threads=len(blocks),
        nodes=_numa_nodes(root),
        memory=memory.get("MemTotal", 0),
        available=memory.get("MemAvailable", 0),
        features=tuple(name for name, flag in FEATURES.items() if flag in flags),
    )


def _blocks(text: str) -> list[dict[str, str]]:
    """Return a dict for each hardware thread."""
    blocks = []
    for block in text.split("\n\n"):
        pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in pairs}
        if "processor" in fields:
            blocks.append(fields)
    return blocks


def _cores(blocks: list[dict[str, str]]) -> int:
    """Return the physical cores; as many as threads if the kernel lists no core ids (Arm)."""
    cores = {(block.get("physical id"), block["core id"]) for block in blocks if "core id" in block}
    return len(cores) or len(blocks)


def _numa_nodes(root: Path) -> int:
    names = (entry.name for entry in sysfs.entries(root / "sys/devices/system/node"))
    return max(1, sum(1 for name in names if name.startswith("node") and name[4:].isdigit()))


def _memory(text: str) -> dict[str, int]:
    """Return /proc/meminfo in bytes. (It prints kB and means KiB.)"""
    rows = (line.replace(":", " ").split() for line in text.splitlines())
    return {r[0]: int(r[1]) * 1024 for r in rows if len(r) == 3 and r[1].isdecimal() and r[2] == "kB"}
