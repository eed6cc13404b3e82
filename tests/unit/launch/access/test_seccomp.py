"""The seccomp profile of a ROCm container: the engine's default, and added calls with their reasons."""

from __future__ import annotations

import json

from launch.access import seccomp

# Calls that no container may make, because they affect the host (Docker's documentation).
FORBIDDEN = {
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "fsmount", "fsopen", "init_module",
    "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "mount", "move_mount",
    "open_by_handle_at", "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "setns",
    "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd",
}  # fmt: skip


def allowed() -> set[str]:
    rules = [rule for rule in seccomp.profile()["syscalls"] if rule["action"] == seccomp.ALLOW]
    return {name for rule in rules if "args" not in rule for name in rule["names"]}


def test_profile_refuses_calls_that_affect_the_host() -> None:
    assert allowed().isdisjoint(FORBIDDEN)
    assert seccomp.profile()["defaultAction"] == "SCMP_ACT_ERRNO"


def test_added_calls_have_a_reason_and_a_source() -> None:
    rows = seccomp.added()
    assert {"mbind", "get_mempolicy", "set_mempolicy", "process_vm_readv"} <= {
        c for row in rows for c in row.calls
    }
    assert all(row.why and row.source for row in rows)
    assert allowed() == {*seccomp.default(), *(call for row in rows for call in row.calls)}


def test_profile_lists_no_call_twice() -> None:
    calls = [*seccomp.default(), *(call for row in seccomp.added() for call in row.calls)]
    assert len(calls) == len(set(calls))


def test_profile_refuses_new_namespaces() -> None:
    (clone,) = [rule for rule in seccomp.profile()["syscalls"] if rule["names"] == ["clone"]]
    new_user, new_network = 0x10000000, 0x40000000
    assert clone["args"][0]["value"] & new_user
    assert clone["args"][0]["value"] & new_network
    (clone3,) = [rule for rule in seccomp.profile()["syscalls"] if rule["names"] == ["clone3"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_as_json_is_the_profile_on_one_line() -> None:
    assert "\n" not in seccomp.as_json()
    assert json.loads(seccomp.as_json()) == seccomp.profile()


def test_profile_file_equals_the_generated_profile() -> None:
    """python -c 'from launch.access import seccomp; seccomp.PROFILE.write_text(seccomp.as_json() + chr(10))'."""
    assert seccomp.PROFILE.read_text() == seccomp.as_json() + "\n"
