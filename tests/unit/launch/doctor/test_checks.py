"""Each fault of a host is found alone, at its severity, with the command that helps; a good host has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.doctor.facts import Certificates, Device, Engine, Image, Kernel, Network
from launch.doctor.report import count, examine, lines
from launch.hardware.cdi import CdiSpec
from launch.hardware.types import Cpu, GpuProcess, Hardware, PciGpu, VendorReport
from tests.unit.launch.doctor.hosts import (
    CPU,
    ENGINE,
    GIB,
    H200,
    HUB,
    MI300X,
    cpu,
    cuda,
    only,
    rocm,
    trouble,
    with_image,
)  # fmt: skip


@pytest.mark.parametrize("host", [cpu, cuda, rocm])
def test_a_good_host_has_nothing_wrong(host: Any) -> None:
    assert trouble(host()) == []
    assert count(examine(host()))["ok"] > 10


ENGINES = [
    (
        Engine(error="no engine: Permission denied", remedy="join the group"),
        "error",
        "engine",
        "join the group",
    ),
    (replace(ENGINE, builder=""), "warning", "buildkit", "docker-buildx"),
    (replace(ENGINE, storage="vfs"), "warning", "storage", "overlay2"),
    (replace(ENGINE, free=4 * 10**9, image=Image("x", size=8 * 10**9)), "error", "image", "docker system df"),
    (replace(ENGINE, seccomp=False), "warning", "seccomp", "CONFIG_SECCOMP"),
    (replace(ENGINE, open_files=1024), "warning", "ulimits", "LimitNOFILE"),
]


@pytest.mark.parametrize(("engine", "severity", "check", "remedy"), ENGINES)
def test_engine(engine: Engine, severity: str, check: str, remedy: str) -> None:
    found = next(f for f in trouble(replace(cpu(), engine=engine)) if f.check == check)
    assert found.severity == severity
    assert remedy in found.remedy


def test_a_taken_port_names_its_holder() -> None:
    engine = replace(with_image(), ports=((8000, "slipway-minimax-m2"),))
    found = only(replace(cpu(), engine=engine, network=Network(8000, taken=True)))
    assert "slipway-minimax-m2" in found.seen
    assert found.remedy == "invoke run --port 8001, or: invoke stop --name slipway-minimax-m2"


def test_podman_and_nvidia() -> None:
    engine = replace(with_image(cuda="13.0"), podman=True)
    assert "silently" in only(cuda(engine=engine)).why
    found = [f for f in trouble(cuda(engine=engine, specs=(), toolkit="")) if f.severity == "error"]
    assert [f.check for f in found] == ["nvidia toolkit"]


def test_a_podman_that_heeds_cdi_names_is_well_where_the_gpus_have_them() -> None:
    named = tuple(replace(gpu, cdi=f"nvidia.com/gpu={gpu.uuid}") for gpu in H200)
    hardware = Hardware(CPU, nvidia=VendorReport("nvidia", "580.65.06", "13.0", named))
    old, new = (
        replace(with_image(cuda="13.0"), podman=True, version=version) for version in ("5.3.2", "5.4.0-dev")
    )
    assert trouble(cuda(engine=new, hardware=hardware)) == []
    assert "podman 5.4 or newer" in only(cuda(engine=old, hardware=hardware)).remedy
    assert only(cuda(engine=new)).severity == "warning"


@pytest.mark.parametrize(
    ("features", "severity"), [((), "error"), (("avx2",), "warning"), (("avx2", "avx512"), None)]
)
def test_cpu_features(features: tuple[str, ...], severity: str | None) -> None:
    found = trouble(cpu(hardware=Hardware(replace(CPU, features=features))))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_arm_needs_no_avx() -> None:
    assert trouble(cpu(hardware=Hardware(Cpu("Neoverse", "aarch64", 64, 64, 1, GIB, GIB)))) == []


def test_no_gpu_at_all() -> None:
    found = only(cuda(hardware=Hardware(CPU)))
    assert (found.severity, found.seen) == ("error", "no NVIDIA GPU here")


def test_a_gpu_that_no_driver_shows() -> None:
    found = only(cuda(hardware=Hardware(CPU, pci=(PciGpu("0000:05:00.0", "nvidia", 0x2335),))))
    assert "1 NVIDIA device(s) on the PCI bus" in found.seen
    assert "modprobe nvidia" in found.remedy


def test_a_dying_gpu() -> None:
    seen = VendorReport("nvidia", "580.65.06", "13.0", H200, ("GPU 3: NVML reports: GPU is lost",))
    assert only(cuda(hardware=Hardware(CPU, nvidia=seen))).seen == "GPU 3: NVML reports: GPU is lost"


def nvidia(driver: str = "580.65.06", runtime: str = "13.0", **gpu: Any) -> Hardware:
    return Hardware(CPU, nvidia=VendorReport("nvidia", driver, runtime, (replace(H200[0], **gpu), *H200[1:])))


def test_memory_in_use() -> None:
    found = only(cuda(hardware=nvidia(used=30 * GIB, processes=(GpuProcess(7, "python3"),))))
    assert found.seen == "GPU 0: 30.0 GiB in use by python3 (7)"


def test_mig() -> None:
    assert only(cuda(hardware=nvidia(mig=True))).remedy == "sudo nvidia-smi -i 0 -mig 0"


def test_different_models() -> None:
    assert "NVIDIA H20, NVIDIA H200" in only(cuda(hardware=nvidia(name="NVIDIA H20"))).seen


def test_an_unlisted_gpu_is_said_and_no_fault() -> None:
    facts = cuda(hardware=nvidia(name="NVIDIA H200", hardware=""))
    assert trouble(facts) == []
    assert any("in no recipe's list" in f.seen for f in examine(facts))


@pytest.mark.parametrize(
    ("driver", "severity", "remedy"),
    [
        ("580.65.06", None, ""),
        ("590.10", None, ""),
        ("570.86.15", "warning", "VLLM_ENABLE_CUDA_COMPATIBILITY=1"),
        ("550.54.15", "error", "install driver 580"),
    ],
)
def test_driver_against_the_image(driver: str, severity: str | None, remedy: str) -> None:
    found = trouble(cuda(hardware=nvidia(driver=driver), specs=()))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(remedy in f.remedy for f in found)


def test_an_image_without_kernels_for_the_gpu() -> None:
    found = only(cuda(engine=with_image(cuda="13.0", archs=("sm_100", "sm_120"))))
    assert "no kernels for sm_90" in found.seen
    assert trouble(cuda(hardware=nvidia(), engine=with_image(cuda="13.0", archs=("sm_80", "sm_90")))) == []


def test_neither_toolkit_nor_cdi() -> None:
    engine = replace(with_image(cuda="13.0"), runtimes=("runc",))
    assert "could not select device driver" in only(cuda(engine=engine, toolkit="", specs=())).why


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (CdiSpec("/etc/cdi/nvidia.yaml", error="JSONDecodeError: line 3"), "cannot be read: JSONDecodeError"),
        (CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), ("570.1",)), "was made for driver 570.1"),
        (
            CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), (), ("/dev/nvidia9",)),
            "names /dev/nvidia9",
        ),
    ],
)
def test_cdi(spec: CdiSpec, says: str) -> None:
    found = only(cuda(specs=(spec,)))
    assert says in found.seen
    assert (found.severity, found.remedy) == (
        "error",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    )


def nodes(**changed: Any) -> tuple[Device, ...]:
    good = rocm().devices
    return (replace(good[0], **changed), *good[1:])


@pytest.mark.parametrize(
    ("change", "severity", "remedy"),
    [
        ({"here": False}, "error", "modprobe amdgpu"),
        ({"usable": False, "gid": 992, "group": "render"}, "warning", "usermod -a -G render anna"),
        ({"usable": False, "gid": 992, "group": ""}, "warning", "usermod -a -G 992 anna"),
        ({"usable": False, "gid": 44, "group": "video"}, "warning", "chmod g+rw /dev/kfd"),
    ],
)
def test_amd_devices(change: dict[str, Any], severity: str, remedy: str) -> None:
    found = only(rocm(devices=nodes(**change)))
    assert found.severity == severity
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("kernel", "remedy"),
    [(Kernel(1, "identity", 90), "sysctl -w kernel.numa_balancing=0"), (Kernel(0, "DMA", 90), "iommu=pt")],
)
def test_amd_kernel(kernel: Kernel, remedy: str) -> None:
    assert remedy in only(rocm(kernel=kernel)).remedy
    assert trouble(cpu(kernel=kernel)) == []


def test_partitioned_cards() -> None:
    cut = tuple(replace(gpu, partition="CPX", parts=gpu.parts * 8) for gpu in MI300X)
    found = only(rocm(hardware=Hardware(CPU, amd=VendorReport("amd", gpus=cut))))
    assert found.seen == "8 card(s) in CPX: 8 devices each"


def test_too_little_memory_for_shm() -> None:
    short = Hardware(replace(CPU, available=8 * GIB), nvidia=cuda().hardware.nvidia)
    assert only(cuda(hardware=short)).check == "shm"


HUBS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"refused": True, "token_from": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_broken": True, "token_from": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_from": "/home/anna/token", "token_mode": 0o644}, "warning", "hub token", "chmod 600"),
    ({"licence": "missing", "model": "a/b"}, "error", "licence", "accept it on https://huggingface.co/a/b"),
    ({"licence": "unknown model", "model": "a/b"}, "error", "licence", "check the name"),
    ({"cache_writable": False, "cache_owner": "root"}, "error", "hub cache", "chown -R anna /data/hub"),
    ({"cache_file": "/data/hub"}, "error", "hub cache", "export HF_HUB_CACHE=DIR"),
    ({"strangers": 3}, "warning", "hub cache", "chown -R anna /data/hub"),
    ({"needed": 1000 * 10**9}, "error", "weights", "another disk"),
    ({"skew": -3600.0}, "error", "clock", "timedatectl"),
]


@pytest.mark.parametrize(("change", "severity", "check", "remedy"), HUBS)
def test_hub(change: dict[str, Any], severity: str, check: str, remedy: str) -> None:
    found = only(cpu(hub=replace(HUB, **change)))
    assert (found.severity, found.check) == (severity, check)
    assert remedy in found.remedy


def test_without_a_network_nothing_is_wrong_and_it_is_said() -> None:
    facts = cpu(hub=replace(HUB, reached=False, skew=None, error="Name or service not known"))
    assert trouble(facts) == []
    assert any("is not reached: Name or service not known" in f.seen for f in examine(facts))


def test_a_clock_in_the_past() -> None:
    assert only(cpu(hub=replace(HUB, skew=None), clock=0.0)).seen == "1970-01-01 00:00 UTC is in the past"


@pytest.mark.parametrize(
    ("network", "severity", "check"),
    [
        (Network(proxies=(("https_proxy", "http://proxy:3128"),)), "warning", "proxy"),
        (Network(proxies=(("https_proxy", "?"),), no_proxy="localhost"), "error", "proxy"),
        (
            Network(certificates=(Certificates("SSL_CERT_FILE", "/x", "there is no such file"),)),
            "error",
            "certificates",
        ),
    ],
)
def test_network(network: Network, severity: str, check: str) -> None:
    found = only(cpu(network=network))
    assert (found.severity, found.check) == (severity, check)


def test_what_hangs_is_an_error() -> None:
    assert only(cpu(unanswered=("hardware",))).severity == "error"


def test_the_report_gives_the_command_below_the_fault() -> None:
    shown = lines(examine(replace(cpu(), engine=replace(with_image(), builder=""))))
    at = next(number for number, line in enumerate(shown) if line.startswith("warning  buildkit"))
    assert shown[at + 1].strip().startswith("why: ")
    assert shown[at + 2].strip() == "do:  sudo apt-get install docker-buildx"


def test_every_finding_that_is_not_ok_says_what_to_do() -> None:
    spoilt = [cpu(hub=replace(HUB, **change)) for change, *_ in HUBS]
    spoilt += [replace(cpu(), engine=engine) for engine, *_ in ENGINES]
    faults = [finding for facts in spoilt for finding in trouble(facts)]
    assert all(finding.why and finding.remedy for finding in faults)
