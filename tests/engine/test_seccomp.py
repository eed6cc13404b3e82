"""The profile against a real kernel: beside the engine's own it opens what it names, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launch.access import seccomp

# Try every system call with arguments that are all wrong, each in a process of its own, and print the
# numbers of those that are answered with EPERM.
PROBE = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
refused = []
for number in range(470):
    pid = os.fork()
    if pid == 0:
        signal.alarm(1)
        libc.syscall(number, *[ctypes.c_long(-1)] * 6)
        os._exit(ctypes.get_errno() & 127)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1:
        refused.append(number)
print(json.dumps(refused))
"""
# Numbers of arch/x86/entry/syscalls/syscall_64.tbl.
ADDED = {
    237: "mbind",
    238: "set_mempolicy",
    239: "get_mempolicy",
    279: "move_pages",
    310: "process_vm_readv",
    311: "process_vm_writev",
    450: "set_mempolicy_home_node",
}
# Open in the default profile of 2026, not yet in the one of engine 20.10.
SINCE = {303: "name_to_handle_at", 329: "pkey_mprotect", 330: "pkey_alloc", 331: "pkey_free"}
NEWER_THAN_ENGINES = range(428, 470)  # calls that an engine from before them does not know
IO_URING = {425, 426, 427}  # open in the default profile before engine 25
SOCKET = {41}  # family -1 is refused by ours, and passed on to the kernel by older engines


@pytest.fixture(scope="module")
def refused(engine: Any, cpu_image: str) -> Any:
    """The numbers refused under a profile, in a container of `--access least`."""

    def ask(*options: str) -> set[int]:
        said = engine.containers.run(cpu_image, entrypoint=["python3", "-c", PROBE], command=[], remove=True,
                                     network_mode="none", cap_drop=["ALL"], user="1000:1000",
                                     security_opt=["no-new-privileges", *options])  # fmt: skip
        return set(json.loads(said))

    return ask


def test_it_opens_what_it_names_and_nothing_else(refused: Any) -> None:
    default, ours = refused(), refused(f"seccomp={seccomp.as_json()}")
    assert ours.isdisjoint(ADDED)
    assert default - ours <= {*ADDED, *SINCE, *NEWER_THAN_ENGINES}
    assert ours - default <= IO_URING | SOCKET
    assert {237, 238, 239} <= default  # or there would be nothing to open


def test_it_is_a_filter(refused: Any) -> None:
    without, ours = refused("seccomp=unconfined"), refused(f"seccomp={seccomp.as_json()}")
    keyring = {248, 249, 250}  # add_key, request_key, keyctl: the kernel itself refuses none of them
    assert without.isdisjoint(keyring)
    assert keyring <= ours
