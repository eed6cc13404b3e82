"""The processor and the memory, from procfs and sysfs: what vLLM's CPU backend needs to know."""

from __future__ import annotations

import platform
from pathlib import Path

from launch.hardware import sysfs
from launch.hardware.types import Cpu

# Ours -> the kernel's flag (arch/x86/include/asm/cpufeatures.h). vLLM on a CPU wants AVX2 at least.
FEATURES = {"avx2": "avx2", "avx512": "avx512f", "avx512_bf16": "avx512_bf16", "amx": "amx_tile"}


def read(root: Path = Path("/")) -> Cpu:
    """The CPU below a root folder."""
    blocks = _blocks(sysfs.text(root / "proc/cpuinfo"))
    first = blocks[0] if blocks else {}
    flags = set(first.get("flags", first.get("Features", "")).split())
    memory = _memory(sysfs.text(root / "proc/meminfo"))
    return Cpu(
        model=first.get("model name", ""),
        arch=platform.machine() if root == Path("/") else "",
        cores=_cores(blocks),
        threads=len(blocks),
        nodes=_numa(root),
        memory=memory.get("MemTotal", 0),
        available=memory.get("MemAvailable", 0),
        features=tuple(ours for ours, flag in FEATURES.items() if flag in flags),
    )


def _blocks(given: str) -> list[dict[str, str]]:
    """One dict a hardware thread."""
    found = []
    for block in given.split("\n\n"):
        pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in pairs}
        if "processor" in fields:
            found.append(fields)
    return found


def _cores(blocks: list[dict[str, str]]) -> int:
    """Physical cores; where the kernel does not say (Arm), as many as threads."""
    named = {(block.get("physical id"), block["core id"]) for block in blocks if "core id" in block}
    return len(named) or len(blocks)


def _numa(root: Path) -> int:
    names = (entry.name for entry in sysfs.entries(root / "sys/devices/system/node"))
    return max(1, sum(1 for name in names if name.startswith("node") and name[4:].isdigit()))


def _memory(given: str) -> dict[str, int]:
    """/proc/meminfo in bytes (it says kB and means KiB)."""
    words = (line.replace(":", " ").split() for line in given.splitlines())
    return {w[0]: int(w[1]) * 1024 for w in words if len(w) == 3 and w[1].isdecimal() and w[2] == "kB"}
