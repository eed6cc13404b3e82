"""Each problem of a host is found, with its severity and the command that fixes it; a good host has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.doctor.facts import Certificates, Device, Engine, ImageFacts, Kernel, Network
from launch.doctor.report import count_by_severity, format_findings, run_checks
from launch.hardware.cdi import CdiSpec
from launch.hardware.types import Cpu, GpuProcess, Hardware, PciGpu, VendorReport
from launch.spec.plan import AUTO_PORT
from tests.unit.launch.doctor.hosts import (
    CPU,
    ENGINE,
    GIB,
    H200,
    HUB,
    MI300X,
    cpu,
    cuda,
    only_problem,
    problems,
    rocm,
    with_image,
)  # fmt: skip


@pytest.mark.parametrize("host", [cpu, cuda, rocm])
def test_run_checks_finds_no_problem_on_a_good_host(host: Any) -> None:
    assert problems(host()) == []
    assert count_by_severity(run_checks(host()))["ok"] > 10


ENGINES = [
    (
        Engine(error="no engine: Permission denied", fix="join the group"),
        "error",
        "engine",
        "join the group",
    ),
    (replace(ENGINE, builder=""), "warning", "buildkit", "docker-buildx"),
    (replace(ENGINE, storage="vfs"), "warning", "storage", "overlay2"),
    (
        replace(ENGINE, free=4 * 10**9, image=ImageFacts("x", size=8 * 10**9)),
        "error",
        "image",
        "docker system df",
    ),
    (replace(ENGINE, seccomp=False), "warning", "seccomp", "CONFIG_SECCOMP"),
    (replace(ENGINE, open_files=1024), "warning", "ulimits", "LimitNOFILE"),
]


@pytest.mark.parametrize(("engine", "severity", "check", "fix"), ENGINES)
def test_run_checks_finds_engine_problems(engine: Engine, severity: str, check: str, fix: str) -> None:
    found = next(f for f in problems(replace(cpu(), engine=engine)) if f.check == check)
    assert found.severity == severity
    assert fix in found.fix


def test_port_names_the_container_that_uses_it() -> None:
    engine = replace(with_image(), ports=((8000, "nginx"),))
    found = only_problem(replace(cpu(), engine=engine, network=Network(8000, port_in_use=True)))
    assert "the container nginx" in found.what


def test_port_of_a_slipway_server_is_information() -> None:
    engine = replace(with_image(), ports=((8000, "slipway-minimax-m2"),))
    facts = replace(cpu(), engine=engine, network=Network(8000, port_in_use=True))
    (found,) = [finding for finding in run_checks(facts) if finding.check == "port"]
    assert (found.severity, "slipway-minimax-m2" in found.what) == ("info", True)


def test_port_is_not_checked_if_it_is_chosen_at_the_start() -> None:
    facts = replace(cpu(), engine=with_image(), network=Network(AUTO_PORT))
    assert not [found for found in problems(facts) if found.check == "port"]


def test_podman_needs_cdi_for_nvidia_gpus() -> None:
    engine = replace(with_image(cuda="13.0"), podman=True)
    assert "ignores device requests" in only_problem(cuda(engine=engine)).why
    found = [f for f in problems(cuda(engine=engine, specs=(), toolkit="")) if f.severity == "error"]
    assert [f.check for f in found] == ["nvidia toolkit"]


def test_podman_is_ok_if_it_accepts_cdi_names_and_the_gpus_have_them() -> None:
    named = tuple(replace(gpu, cdi=f"nvidia.com/gpu={gpu.uuid}") for gpu in H200)
    hardware = Hardware(CPU, nvidia=VendorReport("nvidia", "580.65.06", "13.0", named))
    old, new = (
        replace(with_image(cuda="13.0"), podman=True, version=version) for version in ("5.3.2", "5.4.0-dev")
    )
    assert problems(cuda(engine=new, hardware=hardware)) == []
    assert "podman 5.4 or newer" in only_problem(cuda(engine=old, hardware=hardware)).fix
    assert only_problem(cuda(engine=new)).severity == "warning"


@pytest.mark.parametrize(
    ("features", "severity"), [((), "error"), (("avx2",), "warning"), (("avx2", "avx512"), None)]
)
def test_processor_needs_avx2_and_prefers_avx512(features: tuple[str, ...], severity: str | None) -> None:
    found = problems(cpu(hardware=Hardware(replace(CPU, features=features))))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_processor_needs_no_avx_on_arm() -> None:
    assert problems(cpu(hardware=Hardware(Cpu("Neoverse", "aarch64", 64, 64, 1, GIB, GIB)))) == []


def test_present_finds_no_gpu() -> None:
    found = only_problem(cuda(hardware=Hardware(CPU)))
    assert (found.severity, found.what) == ("error", "no NVIDIA GPU")


def test_present_finds_a_gpu_without_a_driver() -> None:
    found = only_problem(cuda(hardware=Hardware(CPU, pci=(PciGpu("0000:05:00.0", "nvidia", 0x2335),))))
    assert "1 NVIDIA device on the PCI bus" in found.what
    assert "modprobe nvidia" in found.fix


def test_present_reports_the_problem_of_a_gpu() -> None:
    seen = VendorReport("nvidia", "580.65.06", "13.0", H200, ("GPU 3: NVML reports: GPU is lost",))
    assert only_problem(cuda(hardware=Hardware(CPU, nvidia=seen))).what == "GPU 3: NVML reports: GPU is lost"


def nvidia(driver: str = "580.65.06", runtime: str = "13.0", **gpu: Any) -> Hardware:
    return Hardware(CPU, nvidia=VendorReport("nvidia", driver, runtime, (replace(H200[0], **gpu), *H200[1:])))


def test_in_use_names_the_process() -> None:
    found = only_problem(cuda(hardware=nvidia(used=30 * GIB, processes=(GpuProcess(7, "python3"),))))
    assert found.what == "GPU 0: 30.0 GiB in use by python3 (7)"


def test_partitions_finds_mig() -> None:
    assert only_problem(cuda(hardware=nvidia(mig=True))).fix == "sudo nvidia-smi -i 0 -mig 0"


def test_same_model_finds_different_models() -> None:
    assert "NVIDIA H20, NVIDIA H200" in only_problem(cuda(hardware=nvidia(name="NVIDIA H20"))).what


def test_same_model_only_informs_about_an_unlisted_gpu() -> None:
    facts = cuda(hardware=nvidia(name="NVIDIA H200", hardware=""))
    assert problems(facts) == []
    assert any("no recipe lists NVIDIA H200" in f.what for f in run_checks(facts))


@pytest.mark.parametrize(
    ("driver", "severity", "fix"),
    [
        ("580.65.06", None, ""),
        ("590.10", None, ""),
        ("570.86.15", "warning", "VLLM_ENABLE_CUDA_COMPATIBILITY=1"),
        ("550.54.15", "error", "install driver 580"),
    ],
)
def test_driver_is_compared_with_the_image(driver: str, severity: str | None, fix: str) -> None:
    found = problems(cuda(hardware=nvidia(driver=driver), specs=()))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(fix in f.fix for f in found)


def test_kernels_finds_an_image_without_kernels_for_the_gpu() -> None:
    found = only_problem(cuda(engine=with_image(cuda="13.0", archs=("sm_100", "sm_120"))))
    assert "no kernels for sm_90" in found.what
    assert problems(cuda(hardware=nvidia(), engine=with_image(cuda="13.0", archs=("sm_80", "sm_90")))) == []


def test_toolkit_finds_neither_toolkit_nor_cdi() -> None:
    engine = replace(with_image(cuda="13.0"), runtimes=("runc",))
    assert "could not select device driver" in only_problem(cuda(engine=engine, toolkit="", specs=())).why


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            CdiSpec("/etc/cdi/nvidia.yaml", error="JSONDecodeError: line 3"),
            "cannot read /etc/cdi/nvidia.yaml: JSONDecodeError",
        ),
        (CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), ("570.1",)), "is for driver 570.1"),
        (
            CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), (), ("/dev/nvidia9",)),
            "names /dev/nvidia9",
        ),
    ],
)
def test_cdi_finds_broken_and_outdated_specs(spec: CdiSpec, text: str) -> None:
    found = only_problem(cuda(specs=(spec,)))
    assert text in found.what
    assert (found.severity, found.fix) == (
        "error",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    )


def nodes(**changed: Any) -> tuple[Device, ...]:
    good = rocm().devices
    return (replace(good[0], **changed), *good[1:])


@pytest.mark.parametrize(
    ("change", "severity", "fix"),
    [
        ({"present": False}, "error", "modprobe amdgpu"),
        ({"usable": False, "gid": 992, "group": "render"}, "warning", "usermod -a -G render anna"),
        ({"usable": False, "gid": 992, "group": ""}, "warning", "usermod -a -G 992 anna"),
        ({"usable": False, "gid": 44, "group": "video"}, "warning", "chmod g+rw /dev/kfd"),
    ],
)
def test_device_nodes_finds_missing_nodes_and_permissions(
    change: dict[str, Any], severity: str, fix: str
) -> None:
    found = only_problem(rocm(devices=nodes(**change)))
    assert found.severity == severity
    assert fix in found.fix


@pytest.mark.parametrize(
    ("kernel", "fix"),
    [(Kernel(1, "identity", 90), "sysctl -w kernel.numa_balancing=0"), (Kernel(0, "DMA", 90), "iommu=pt")],
)
def test_amd_finds_kernel_settings(kernel: Kernel, fix: str) -> None:
    assert fix in only_problem(rocm(kernel=kernel)).fix
    assert problems(cpu(kernel=kernel)) == []


def test_partitions_finds_amd_partitions() -> None:
    cut = tuple(replace(gpu, partition="CPX", parts=gpu.parts * 8) for gpu in MI300X)
    found = only_problem(rocm(hardware=Hardware(CPU, amd=VendorReport("amd", gpus=cut))))
    assert found.what == "8 cards in mode CPX: 8 devices each"


def test_shared_needs_memory_for_shm() -> None:
    short = Hardware(replace(CPU, available=8 * GIB), nvidia=cuda().hardware.nvidia)
    assert only_problem(cuda(hardware=short)).check == "shm"


HUBS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"token_rejected": True, "token_source": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_malformed": True, "token_source": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_source": "/home/anna/token", "token_mode": 0o644}, "warning", "hub token", "chmod 600"),
    (
        {"licence": "missing", "model": "a/b"},
        "error",
        "licence",
        "accept the licence on https://huggingface.co/a/b",
    ),
    ({"licence": "unknown model", "model": "a/b"}, "error", "licence", "check the name"),
    ({"cache_writable": False, "cache_owner": "root"}, "error", "hub cache", "chown -R anna /data/hub"),
    ({"cache_file": "/data/hub"}, "error", "hub cache", "export HF_HUB_CACHE=DIR"),
    ({"foreign_entries": 3}, "warning", "hub cache", "chown -R anna /data/hub"),
    ({"to_fetch": 1000 * 10**9}, "error", "weights", "another disk"),
    ({"clock_skew": -3600.0}, "error", "clock", "timedatectl"),
]


@pytest.mark.parametrize(("change", "severity", "check", "fix"), HUBS)
def test_run_checks_finds_hub_problems(change: dict[str, Any], severity: str, check: str, fix: str) -> None:
    found = only_problem(cpu(hub=replace(HUB, **change)))
    assert (found.severity, found.check) == (severity, check)
    assert fix in found.fix


def test_reached_only_informs_without_a_network() -> None:
    facts = cpu(hub=replace(HUB, reached=False, clock_skew=None, error="Name or service not known"))
    assert problems(facts) == []
    assert any("cannot be reached: Name or service not known" in f.what for f in run_checks(facts))


def test_clock_finds_a_time_in_the_past() -> None:
    assert (
        only_problem(cpu(hub=replace(HUB, clock_skew=None), clock=0.0)).what
        == "1970-01-01 00:00 UTC is in the past"
    )


@pytest.mark.parametrize(
    ("network", "severity", "check"),
    [
        (Network(proxies=(("https_proxy", "http://proxy:3128"),)), "warning", "proxy"),
        (Network(proxies=(("https_proxy", "?"),), no_proxy="localhost"), "error", "proxy"),
        (
            Network(certificates=(Certificates("SSL_CERT_FILE", "/x", "the file does not exist"),)),
            "error",
            "certificates",
        ),
    ],
)
def test_run_checks_finds_network_problems(network: Network, severity: str, check: str) -> None:
    found = only_problem(cpu(network=network))
    assert (found.severity, found.check) == (severity, check)


def test_timed_out_is_an_error() -> None:
    assert only_problem(cpu(timed_out=("hardware",))).severity == "error"


def test_format_findings_has_why_and_next_below_a_problem() -> None:
    lines = format_findings(run_checks(replace(cpu(), engine=replace(with_image(), builder=""))))
    at = next(number for number, line in enumerate(lines) if line.startswith("warning  buildkit"))
    assert lines[at + 1].strip().startswith("why:  ")
    assert lines[at + 2].strip() == "next: sudo apt-get install docker-buildx"


def test_every_problem_has_why_and_fix() -> None:
    hosts = [cpu(hub=replace(HUB, **change)) for change, *_ in HUBS]
    hosts += [replace(cpu(), engine=engine) for engine, *_ in ENGINES]
    found = [finding for facts in hosts for finding in problems(facts)]
    assert all(finding.why and finding.fix for finding in found)
