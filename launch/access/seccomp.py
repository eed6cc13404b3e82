"""The seccomp profile of a ROCm container, used instead of `seccomp=unconfined`: the engine's default and a few calls.

Engines cannot extend their default, so the whole profile is made from a table. It is for a process without
capabilities (`--access least`). A container with capabilities keeps the engine's default, which allows more calls to
them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from launch.checked_data.data_file import load

PROFILE = Path(__file__).with_name("rocm.seccomp.json")  # as_json() in a file, for the engine's client
ALLOW, REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38
NAMESPACES = 0x7E020000  # CLONE_NEW*: a process must not create namespaces
# personality(2): the Linux ones, with and without UNAME26 and ADDR_COMPAT, and the query.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# Socket families: AF_ALG reaches the kernel's crypto, AF_VSOCK the hypervisor.
AF_ALG, AF_VSOCK, LAST_FAMILY = 38, 40, 45
ALLOWED_FAMILIES = [family for family in range(LAST_FAMILY + 1) if family not in (AF_ALG, AF_VSOCK)]

Calls = Annotated[tuple[str, ...], BeforeValidator(str.split)]  # one string of names in the table


@dataclass(frozen=True)
class AddedCalls:
    """Calls beyond the engine's default, the reason for them, and its source."""

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
    """Return the profile in the engine's format, which Docker and podman share."""
    return {
        "defaultAction": REFUSE,
        "defaultErrnoRet": EPERM,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": list(default()), "action": ALLOW},
            *({"names": list(row.calls), "action": ALLOW} for row in added()),
            *(_allow_if("personality", value, "SCMP_CMP_EQ") for value in PERSONALITIES),
            *(_allow_if("socket", family, "SCMP_CMP_EQ") for family in ALLOWED_FAMILIES),
            _allow_if("clone", NAMESPACES, "SCMP_CMP_MASKED_EQ"),
            # A filter cannot read clone3's flags. libc uses clone if clone3 does not exist.
            {"names": ["clone3"], "action": REFUSE, "errnoRet": ENOSYS},
        ],
    }


def as_json() -> str:
    """Return the profile on one line, as the engine's API takes it after `seccomp=`."""
    return json.dumps(profile(), separators=(",", ":"))


def _allow_if(call: str, value: int, test: str) -> dict[str, Any]:
    """Return the rule that allows a call if its first argument is `value` (masked: has none of its bits)."""
    return {"names": [call], "action": ALLOW, "args": [{"index": 0, "value": value, "op": test}]}
