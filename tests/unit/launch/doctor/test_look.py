"""Looking at a host that is a folder: devices, the kernel, the token, the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launch.doctor import fix
from launch.doctor.facts import Facts
from launch.doctor.finding import warning
from launch.doctor.probes import host, network
from launch.doctor.probes import hub as probes_hub
from launch.doctor.probes.hub import Answer
from launch.hardware.types import Gpu, GpuPartition, Hardware, VendorReport


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_devices_are_those_of_the_gpus(tmp_path: Path) -> None:
    put(tmp_path / "dev/kfd").chmod(0o600)
    card = Gpu(
        0, "amd", parts=(GpuPartition(2, "/dev/dri/renderD136"), GpuPartition(3, "/dev/dri/renderD137"))
    )
    found = host.devices("rocm", Hardware(amd=VendorReport("amd", gpus=(card,))), tmp_path)
    assert [(device.path, device.here, device.usable) for device in found] == [
        ("/dev/kfd", True, True),
        ("/dev/dri/renderD136", False, False),
        ("/dev/dri/renderD137", False, False),
    ]
    assert found[0].gid == os.getgid()


@pytest.mark.parametrize(
    ("cmdline", "kind", "expected"),
    [("quiet iommu=pt", "DMA", "identity"), ("quiet", "DMA", "DMA"), ("quiet", "identity", "identity")],
)
def test_iommu(tmp_path: Path, cmdline: str, kind: str, expected: str) -> None:
    put(tmp_path / "proc/cmdline", cmdline)
    put(tmp_path / "sys/kernel/iommu_groups/0/type", kind)
    put(tmp_path / "proc/sys/kernel/numa_balancing", "1\n")
    found = host.kernel(tmp_path)
    assert (found.iommu, found.iommu_groups, found.numa_balancing) == (expected, 1, 1)


def test_an_empty_host(tmp_path: Path) -> None:
    found = host.kernel(tmp_path)
    assert (found.iommu, found.numa_balancing, found.shm) == ("", None, None)


def test_the_token_never_gets_into_the_facts(tmp_path: Path) -> None:
    put(tmp_path / "token", "hf_secret\n").chmod(0o644)
    hub = probes_hub.on_disk(environ={"HF_HOME": str(tmp_path)})
    assert probes_hub.token({"HF_HOME": str(tmp_path)}) == ("hf_secret", str(tmp_path / "token"))
    assert (hub.token_from, hub.token_mode) == (str(tmp_path / "token"), 0o644)
    assert "secret" not in repr(hub)
    assert probes_hub.token({"HF_HOME": str(tmp_path), "HF_TOKEN": " "})[1] == str(tmp_path / "token")
    assert probes_hub.token({"HF_HOME": str(tmp_path), "HF_TOKEN": "hf_other"}) == ("hf_other", "HF_TOKEN")


def test_the_cache(tmp_path: Path) -> None:
    there = probes_hub.on_disk("x/y", {"HF_HUB_CACHE": str(tmp_path)})
    assert (there.cache_here, there.cache_writable, there.strangers, there.needed) == (True, True, 0, None)
    coming = probes_hub.on_disk("MiniMaxAI/MiniMax-M2", {"HF_HUB_CACHE": str(tmp_path / "a" / "b")})
    assert (coming.cache_here, coming.cache_writable) == (False, True)
    assert coming.cache_free
    assert round((coming.needed or 0) / 2**30) == 214


@pytest.mark.parametrize(
    ("model", "access", "expected"),
    [
        (Answer(200, {"gated": False}), None, "open"),
        (Answer(200, {"gated": "auto"}), Answer(200), "accepted"),
        (Answer(200, {"gated": "auto"}), Answer(403, code="GatedRepo"), "missing"),
        (Answer(200, {"gated": "manual"}), Answer(401), "missing"),
        (Answer(200, {"gated": "manual"}), Answer(), ""),
        (Answer(401), None, "missing"),
        (Answer(404), None, "unknown model"),
        (Answer(401, code="RepoNotFound"), None, "unknown model"),
        (Answer(500), None, ""),
        (Answer(200, ["nonsense"]), None, ""),
        (Answer(), None, ""),
    ],
)
def test_licence(model: Answer, access: Answer | None, expected: str) -> None:
    assert probes_hub.licence(model, access) == expected


def test_a_hub_that_cannot_be_reached_is_a_reason_and_no_error(tmp_path: Path) -> None:
    hub = probes_hub.on_disk(environ={"HF_ENDPOINT": "nonsense://", "HF_HOME": str(tmp_path)})
    asked = probes_hub.online(hub, 0.1, {"HF_HOME": str(tmp_path)})
    assert not asked.reached
    assert asked.error


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
def test_proxies_lose_their_passwords(url: str, shown: str) -> None:
    assert network.without_login(url) == shown


def test_certificates(tmp_path: Path) -> None:
    assert network.bundle("A", str(tmp_path / "no")).problem == "there is no such file"
    assert "certificates" in network.bundle("A", str(put(tmp_path / "x.pem", "nonsense"))).problem
    assert network.bundle("A", str(tmp_path)).problem == ""


def test_fixing_tightens_and_creates(tmp_path: Path) -> None:
    token = put(tmp_path / "token", "hf_x")
    token.chmod(0o666)
    facts = Facts("cpu")
    facts = replace(facts, hub=replace(facts.hub, token_from=str(token), cache=str(tmp_path / "hub")))
    wrong = [
        warning("a", "", "", "", fix="token-mode"),
        warning("b", "", "", "", fix="cache-folder"),
        warning("c", "", "", ""),
    ]
    assert fix.fix(facts, wrong) == [f"fixed a: {token}: mode 0600", f"fixed b: {tmp_path}/hub: made"]
    assert (token.stat().st_mode & 0o777, (tmp_path / "hub").is_dir()) == (0o600, True)


def test_what_cannot_be_fixed_is_said(tmp_path: Path) -> None:
    facts = Facts("cpu")
    facts = replace(facts, hub=replace(facts.hub, token_from=str(tmp_path / "no")))
    assert fix.fix(facts, [warning("a", "", "", "", fix="token-mode")]) == [
        "not fixed a: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("secret", "broken"), [("hf_a", False), ("", False), ("hf_a\nb", True), ("hf ä", True)]
)
def test_a_token_that_no_request_can_carry_is_seen(secret: str, broken: bool, tmp_path: Path) -> None:
    environ = {"HF_HOME": str(tmp_path), "HF_TOKEN": secret}
    assert probes_hub.on_disk(environ=environ).token_broken == broken


def test_a_file_where_the_cache_should_be_is_seen(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("no folder")
    for place in ("hub", "hub/below"):
        seen = probes_hub.on_disk(environ={"HF_HUB_CACHE": str(tmp_path / place)})
        assert seen.cache_file == str(tmp_path / "hub")
