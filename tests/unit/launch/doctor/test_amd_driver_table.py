"""Look up AMD's driver by its module number, and compare it with the ROCm of an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launch.doctor import amd_driver_table
from launch.doctor.checks.amd_driver import driver
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding
from launch.doctor.probes import host as probes_host
from launch.hardware.types import Hardware, VendorReport
from tests.unit.launch.doctor.hosts import CPU, MI300X, cuda, rocm, with_image


@pytest.mark.parametrize(
    ("number", "release"),
    [
        ("6.12.12", "6.4"),
        ("6.14.14", "30.10"),
        ("6.16.13", "30.30"),
        ("6.19.14.31400000", "31.40"),
        ("7.1.3.31500100", "31.50"),
        # A number that is not in the table, a package version, the version of a kernel module, and an invalid one.
        ("6.16.7", ""),
        ("6.12.12.60402", ""),
        ("6.16.13-2278356.24.04", ""),
        ("", ""),
        ("6.19.14.3140000", ""),
    ],
)
def test_release_of_a_module_number(number: str, release: str) -> None:
    assert amd_driver_table.release_of(number) == release


@pytest.mark.parametrize(("hip", "rocm"), [("7.2.53211-e1a6bc5663", "7.2"), ("7.14.60850", "7.14"), ("", "")])
def test_rocm_of_a_hip_version(hip: str, rocm: str) -> None:
    assert amd_driver_table.rocm_of(hip) == rocm


def host(number: str, hip: str) -> Facts:
    seen = VendorReport("amd", number, gpus=MI300X)
    return rocm(hardware=Hardware(CPU, amd=seen), engine=with_image(hip=hip))


def check(number: str, hip: str = "7.2.53211-e1a6bc5663") -> Finding:
    (finding,) = driver(host(number, hip))
    return finding


@pytest.mark.parametrize("number", ["6.12.12", "6.16.13", "7.1.3.31500000"])
def test_driver_is_ok_with_a_supported_rocm(number: str) -> None:
    assert check(number).severity == "ok"
    assert check(number).what.endswith("AMD supports it with the image's ROCm 7.2")


def test_driver_warns_of_a_driver_that_is_too_old_for_the_image() -> None:
    found = check("6.8.5")
    assert (found.severity, found.what) == (
        "warning",
        "driver 6.8.5 (AMD's release 6.2); the image has ROCm 7.2",
    )
    assert found.fix == "install amdgpu-dkms 31.50 and reboot, or use an image with ROCm 6.0 to 7.0"


def test_driver_warns_of_an_image_that_is_too_old_for_the_driver() -> None:
    found = check("6.19.14.31400000", hip="6.4.43482-0f2d60242")
    assert (found.severity, found.why) == (
        "warning",
        "AMD supports this driver only with ROCm 7.0, 7.1, 7.2, 7.14, 10.0",
    )
    assert found.fix == "install amdgpu-dkms 30.30 and reboot, or use an image with ROCm 7.0 to 10.0"


@pytest.mark.parametrize(
    ("number", "hip", "start"),
    [
        ("", "7.2.5", "the amdgpu driver of the kernel itself (Linux 6.8.0-45-generic)"),
        ("6.99.1", "7.2.5", "driver 6.99.1"),
        ("6.19.4", "7.2.5", "driver 6.19.4 (AMD's release 31.30)"),
        ("6.12.12", "", "driver 6.12.12 (AMD's release 6.4): AMD supports it with ROCm 6.1, 6.2,"),
        ("6.12.12", "8.1.0", "driver 6.12.12 (AMD's release 6.4); the image has ROCm 8.1"),
    ],
)
def test_driver_only_informs_if_it_cannot_compare(number: str, hip: str, start: str) -> None:
    facts = host(number, hip)
    kernel = replace(facts.kernel, release="6.8.0-45-generic")
    (found,) = driver(replace(facts, kernel=kernel))
    assert found.severity == "info"
    assert found.what.startswith(start)


def test_driver_reports_nothing_without_an_amd_gpu() -> None:
    assert list(driver(cuda())) == []
    assert list(driver(rocm(hardware=Hardware(CPU)))) == []


def test_kernel_reads_its_release(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.8.0-45-generic\n")
    assert probes_host.kernel(tmp_path).release == "6.8.0-45-generic"
