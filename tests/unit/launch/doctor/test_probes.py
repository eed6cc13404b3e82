"""Read a host whose root is a folder: devices, the kernel, the token, the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launch.doctor.auto_fix import apply_auto_fixes
from launch.doctor.facts import Facts
from launch.doctor.finding import warning
from launch.doctor.probes import host, network
from launch.doctor.probes import hub as probes_hub
from launch.doctor.probes.hub import HubAnswer
from launch.hardware.types import Gpu, GpuPartition, Hardware, VendorReport


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_devices_are_those_of_the_gpus(tmp_path: Path) -> None:
    write(tmp_path / "dev/kfd").chmod(0o600)
    card = Gpu(
        0, "amd", parts=(GpuPartition(2, "/dev/dri/renderD136"), GpuPartition(3, "/dev/dri/renderD137"))
    )
    found = host.devices("rocm", Hardware(amd=VendorReport("amd", gpus=(card,))), tmp_path)
    assert [(device.path, device.present, device.usable) for device in found] == [
        ("/dev/kfd", True, True),
        ("/dev/dri/renderD136", False, False),
        ("/dev/dri/renderD137", False, False),
    ]
    assert found[0].gid == os.getgid()


@pytest.mark.parametrize(
    ("cmdline", "kind", "expected"),
    [("quiet iommu=pt", "DMA", "identity"), ("quiet", "DMA", "DMA"), ("quiet", "identity", "identity")],
)
def test_kernel_reads_the_iommu_mode(tmp_path: Path, cmdline: str, kind: str, expected: str) -> None:
    write(tmp_path / "proc/cmdline", cmdline)
    write(tmp_path / "sys/kernel/iommu_groups/0/type", kind)
    write(tmp_path / "proc/sys/kernel/numa_balancing", "1\n")
    found = host.kernel(tmp_path)
    assert (found.iommu, found.iommu_groups, found.numa_balancing) == (expected, 1, 1)


def test_kernel_reads_an_empty_host(tmp_path: Path) -> None:
    found = host.kernel(tmp_path)
    assert (found.iommu, found.numa_balancing, found.shm) == ("", None, None)


def test_read_disk_keeps_the_token_out_of_the_facts(tmp_path: Path) -> None:
    write(tmp_path / "token", "hf_secret\n").chmod(0o644)
    hub = probes_hub.read_disk(environ={"HF_HOME": str(tmp_path)})
    assert probes_hub.token({"HF_HOME": str(tmp_path)}) == ("hf_secret", str(tmp_path / "token"))
    assert (hub.token_source, hub.token_mode) == (str(tmp_path / "token"), 0o644)
    assert "secret" not in repr(hub)
    assert probes_hub.token({"HF_HOME": str(tmp_path), "HF_TOKEN": " "})[1] == str(tmp_path / "token")
    assert probes_hub.token({"HF_HOME": str(tmp_path), "HF_TOKEN": "hf_other"}) == ("hf_other", "HF_TOKEN")


def test_read_disk_reads_the_cache(tmp_path: Path) -> None:
    present = probes_hub.read_disk("x/y", {"HF_HUB_CACHE": str(tmp_path)})
    assert (present.cache_present, present.cache_writable, present.foreign_entries, present.to_fetch) == (
        True,
        True,
        0,
        None,
    )
    absent = probes_hub.read_disk("MiniMaxAI/MiniMax-M2", {"HF_HUB_CACHE": str(tmp_path / "a" / "b")})
    assert (absent.cache_present, absent.cache_writable) == (False, True)
    assert absent.cache_free
    assert round((absent.to_fetch or 0) / 2**30) == 214


@pytest.mark.parametrize(
    ("model", "access", "expected"),
    [
        (HubAnswer(200, {"gated": False}), None, "open"),
        (HubAnswer(200, {"gated": "auto"}), HubAnswer(200), "accepted"),
        (HubAnswer(200, {"gated": "auto"}), HubAnswer(403, code="GatedRepo"), "missing"),
        (HubAnswer(200, {"gated": "manual"}), HubAnswer(401), "missing"),
        (HubAnswer(200, {"gated": "manual"}), HubAnswer(), ""),
        (HubAnswer(401), None, "missing"),
        (HubAnswer(404), None, "unknown model"),
        (HubAnswer(401, code="RepoNotFound"), None, "unknown model"),
        (HubAnswer(500), None, ""),
        (HubAnswer(200, ["not an object"]), None, ""),
        (HubAnswer(), None, ""),
    ],
)
def test_licence_of_a_model(model: HubAnswer, access: HubAnswer | None, expected: str) -> None:
    assert probes_hub.licence(model, access) == expected


def test_query_reports_why_the_hub_cannot_be_reached(tmp_path: Path) -> None:
    hub = probes_hub.read_disk(environ={"HF_ENDPOINT": "invalid://", "HF_HOME": str(tmp_path)})
    answered = probes_hub.query(hub, 0.1, {"HF_HOME": str(tmp_path)})
    assert not answered.reached
    assert answered.error


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://anna:secret@proxy.example:3128", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://", "?"),
        ("http://[", "?"),
        ("http://x:port", "?"),
    ],
)
def test_without_login_removes_the_password(url: str, shown: str) -> None:
    assert network.without_login(url) == shown


def test_check_bundle_names_the_problem(tmp_path: Path) -> None:
    assert network.check_bundle("A", str(tmp_path / "no")).problem == "the file does not exist"
    assert "certificates" in network.check_bundle("A", str(write(tmp_path / "x.pem", "not PEM"))).problem
    assert network.check_bundle("A", str(tmp_path)).problem == ""


def test_apply_auto_fixes_restricts_and_creates(tmp_path: Path) -> None:
    token = write(tmp_path / "token", "hf_x")
    token.chmod(0o666)
    facts = Facts("cpu")
    facts = replace(facts, hub=replace(facts.hub, token_source=str(token), cache=str(tmp_path / "hub")))
    findings = [
        warning("a", "", "", "", auto_fix="token-mode"),
        warning("b", "", "", "", auto_fix="cache-folder"),
        warning("c", "", "", ""),
    ]
    assert apply_auto_fixes(facts, findings) == [
        f"fixed a: set the mode of {token} to 0600",
        f"fixed b: created {tmp_path}/hub",
    ]
    assert (token.stat().st_mode & 0o777, (tmp_path / "hub").is_dir()) == (0o600, True)


def test_apply_auto_fixes_reports_what_failed(tmp_path: Path) -> None:
    facts = Facts("cpu")
    facts = replace(facts, hub=replace(facts.hub, token_source=str(tmp_path / "no")))
    assert apply_auto_fixes(facts, [warning("a", "", "", "", auto_fix="token-mode")]) == [
        "not fixed a: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("secret", "malformed"), [("hf_a", False), ("", False), ("hf_a\nb", True), ("hf ä", True)]
)
def test_read_disk_recognizes_a_malformed_token(secret: str, malformed: bool, tmp_path: Path) -> None:
    environ = {"HF_HOME": str(tmp_path), "HF_TOKEN": secret}
    assert probes_hub.read_disk(environ=environ).token_malformed == malformed


def test_read_disk_recognizes_a_file_at_the_place_of_the_cache(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file")
    for place in ("hub", "hub/below"):
        found = probes_hub.read_disk(environ={"HF_HUB_CACHE": str(tmp_path / place)})
        assert found.cache_file == str(tmp_path / "hub")
