"""The seccomp profile of a ROCm container instead of `seccomp=unconfined`: the default and a few calls.

Engines know no "default and these", so the whole profile is made from our own table. It is for a process
without capabilities (`--access least`); with some the engine's default is kept, which opens calls to them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from errors import Refused
from launch.data_file import load

PROFILE = Path(__file__).with_name("rocm.seccomp.json")  # as_json() in a file, for the engine's client
ALLOW, REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38
NAMESPACES = 0x7E020000  # CLONE_NEW*: a process may not make namespaces of its own
# personality(2): the Linux ones, with and without UNAME26 and ADDR_COMPAT, and the question what it is.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
AF_ALG, AF_VSOCK, MOST_FAMILIES = (
    38,
    40,
    45,
)  # socket families that reach the kernel's crypto and the hypervisor


Calls = Annotated[tuple[str, ...], BeforeValidator(str.split)]  # one string of names in the table


@dataclass(frozen=True)
class AddedCalls:
    """Calls beyond the engine's default, why, and the source of that."""

    calls: Calls
    why: str
    source: str


@dataclass(frozen=True)
class CallTable:
    """The rows of seccomp.yaml; `default` by subject."""

    default: dict[str, Calls]
    added: tuple[AddedCalls, ...]


@cache
def _table() -> CallTable:
    return load(Path(__file__).with_suffix(".yaml"), CallTable)


def added() -> tuple[AddedCalls, ...]:
    """Return the calls that a ROCm container is allowed in addition to the default."""
    return _table().added


def default() -> tuple[str, ...]:
    """Return the calls that the engine's own profile allows with any argument."""
    return tuple(sorted(name for names in _table().default.values() for name in names))


def profile() -> dict[str, Any]:
    """The profile in the engine's format (docker and podman read the same)."""
    return {
        "defaultAction": REFUSE,
        "defaultErrnoRet": EPERM,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": list(default()), "action": ALLOW},
            *({"names": list(row.calls), "action": ALLOW} for row in added()),
            *(_when("personality", value, "SCMP_CMP_EQ") for value in PERSONALITIES),
            *(_when("socket", family, "SCMP_CMP_EQ") for family in _families()),
            _when("clone", NAMESPACES, "SCMP_CMP_MASKED_EQ"),
            # A filter cannot look into clone3's flags; libc takes clone where there is no clone3.
            {"names": ["clone3"], "action": REFUSE, "errnoRet": ENOSYS},
        ],
    }


def as_json() -> str:
    """One line, as the engine's API takes it behind `seccomp=`."""
    return json.dumps(profile(), separators=(",", ":"))


def for_api(option: str) -> str:
    """A security option as the engine's API takes it: the client reads the file that `seccomp=` names, not the engine.

    Raises Refused for a file that cannot be read.
    """
    name, _, path = option.partition("=")
    if name != "seccomp" or path in ("", "unconfined", "builtin") or path.startswith("{"):
        return option
    try:
        return f"seccomp={Path(path).read_text()}"
    except OSError as error:
        raise Refused(f"the seccomp profile {path} cannot be read", why=str(error.strerror)) from None


def _families() -> list[int]:
    return [family for family in range(MOST_FAMILIES + 1) if family not in (AF_ALG, AF_VSOCK)]


def _when(call: str, value: int, test: str) -> dict[str, Any]:
    """Allowed where its first argument is this (masked: where none of these bits is set)."""
    return {"names": [call], "action": ALLOW, "args": [{"index": 0, "value": value, "op": test}]}
