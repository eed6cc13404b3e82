"""The profile of a ROCm container: narrow, and with a reason for every call beyond the engine's own."""

from __future__ import annotations

import json

import pytest

from errors import Refused
from launch.access import seccomp

# Calls that no container of ours may make: they reach out of it or change the host (Docker's documentation).
FORBIDDEN = {
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "fsmount", "fsopen", "init_module",
    "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "mount", "move_mount",
    "open_by_handle_at", "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "setns",
    "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd",
}  # fmt: skip


def allowed() -> set[str]:
    rules = [rule for rule in seccomp.profile()["syscalls"] if rule["action"] == seccomp.ALLOW]
    return {name for rule in rules if "args" not in rule for name in rule["names"]}


def test_what_reaches_out_of_the_container_is_refused() -> None:
    assert allowed().isdisjoint(FORBIDDEN)
    assert seccomp.profile()["defaultAction"] == "SCMP_ACT_ERRNO"


def test_every_added_call_says_why_and_who_says_so() -> None:
    rows = seccomp.added()
    assert {"mbind", "get_mempolicy", "set_mempolicy", "process_vm_readv"} <= {
        c for row in rows for c in row.calls
    }
    assert all(row.why and row.source for row in rows)
    assert allowed() == {*seccomp.default(), *(call for row in rows for call in row.calls)}


def test_no_call_stands_twice() -> None:
    calls = [*seccomp.default(), *(call for row in seccomp.added() for call in row.calls)]
    assert len(calls) == len(set(calls))


def test_namespaces_cannot_be_made() -> None:
    (clone,) = [rule for rule in seccomp.profile()["syscalls"] if rule["names"] == ["clone"]]
    new_user, new_network = 0x10000000, 0x40000000
    assert clone["args"][0]["value"] & new_user
    assert clone["args"][0]["value"] & new_network
    (clone3,) = [rule for rule in seccomp.profile()["syscalls"] if rule["names"] == ["clone3"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_it_is_one_line_of_json() -> None:
    assert "\n" not in seccomp.as_json()
    assert json.loads(seccomp.as_json()) == seccomp.profile()


def test_the_file_that_the_engines_client_reads_is_the_profile() -> None:
    """python -c 'from launch.access import seccomp; seccomp.PROFILE.write_text(seccomp.as_json() + chr(10))'."""
    assert seccomp.PROFILE.read_text() == seccomp.as_json() + "\n"


def test_the_api_takes_the_profile_itself() -> None:
    assert seccomp.for_api(f"seccomp={seccomp.PROFILE}") == f"seccomp={seccomp.as_json()}\n"
    for option in ("no-new-privileges", "seccomp=unconfined", "seccomp={}"):
        assert seccomp.for_api(option) == option
    with pytest.raises(Refused, match="cannot be read"):
        seccomp.for_api("seccomp=/no/such/file.json")
