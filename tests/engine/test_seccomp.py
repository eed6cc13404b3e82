"""The seccomp profile on a real kernel: compared with the engine's, it allows exactly the calls that it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from launch.access import seccomp

if TYPE_CHECKING:
    from docker import DockerClient

Refused = Callable[..., set[int]]

# Try every system call with invalid arguments, each in a process of its own, and print the numbers of those that
# return EPERM.
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
# Allowed in the default profile of 2026, but not in the one of engine 20.10.
SINCE = {303: "name_to_handle_at", 329: "pkey_mprotect", 330: "pkey_alloc", 331: "pkey_free"}
NEWER_THAN_ENGINES = range(428, 470)  # system calls that are newer than some engines
IO_URING = {425, 426, 427}  # allowed in the default profile before engine 25
SOCKET = {41}  # Slipway's profile refuses family -1; older engines pass it to the kernel


@pytest.fixture(scope="module")
def refused(engine: DockerClient, cpu_image: str) -> Refused:
    """Return the numbers refused with a profile, in a container of `--access least`."""

    def ask(*options: str) -> set[int]:
        output = engine.containers.run(
            cpu_image,
            entrypoint=["python3", "-c", PROBE],
            command=[],
            remove=True,
            network_mode="none",
            cap_drop=["ALL"],
            user="1000:1000",
            security_opt=["no-new-privileges", *options],
        )
        return set(json.loads(output))

    return ask


def test_the_profile_allows_only_the_calls_that_it_names(refused: Refused) -> None:
    default, profile = refused(), refused(f"seccomp={seccomp.as_json()}")
    assert profile.isdisjoint(ADDED)
    assert default - profile <= {*ADDED, *SINCE, *NEWER_THAN_ENGINES}
    assert profile - default <= IO_URING | SOCKET
    assert {237, 238, 239} <= default  # else the profile would not be needed


def test_the_profile_filters_system_calls(refused: Refused) -> None:
    without, profile = refused("seccomp=unconfined"), refused(f"seccomp={seccomp.as_json()}")
    keyring = {248, 249, 250}  # add_key, request_key, keyctl: the kernel refuses none of them
    assert without.isdisjoint(keyring)
    assert keyring <= profile
