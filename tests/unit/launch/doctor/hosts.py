"""The facts of a good host for each platform; tests change one fact at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launch.doctor.facts import Device, Engine, Facts, HubFacts, ImageFacts, Kernel, Network
from launch.doctor.finding import Finding
from launch.doctor.report import run_checks
from launch.hardware.cdi import CdiSpec
from launch.hardware.types import Cpu, Gpu, GpuPartition, Hardware, VendorReport

GIB = 2**30
CPU = Cpu("AMD EPYC", "x86_64", 96, 192, 2, 1500 * GIB, 1400 * GIB, ("avx2", "avx512"))
H200 = tuple(
    Gpu(i, "nvidia", "NVIDIA H200", "h200", "sm_90", f"GPU-{i}", memory=140 * GIB, used=4 << 20)
    for i in range(8)
)
MI300X = tuple(
    Gpu(
        i,
        "amd",
        "AMD Instinct MI300X",
        "mi300x",
        "gfx942",
        memory=192 * GIB,
        used=300 << 20,
        partition="SPX",
        parts=(GpuPartition(i + 2, f"/dev/dri/renderD{128 + i}"),),
    )
    for i in range(8)
)
ENGINE = Engine(
    url="unix:///var/run/docker.sock",
    version="28.3.0",
    storage="overlay2",
    root="/var/lib/docker",
    free=900 * 10**9,
    runtimes=("nvidia", "runc"),
    cdi=True,
    open_files=1048576,
    builder="buildx",
)
HUB = HubFacts(
    endpoint="https://huggingface.co",
    reached=True,
    clock_skew=0.4,
    cache="/data/hub",
    cache_present=True,
    cache_writable=True,
    cache_owner="anna",
    cache_free=900 * 10**9,
)
FACTS = Facts(
    "cpu",
    "anna",
    1000,
    (1000, 44, 109),
    Hardware(CPU),
    ENGINE,
    kernel=Kernel(0, "identity", 90, 700 * GIB),
    hub=HUB,
    network=Network(),
    clock=1_800_000_000.0,
)


def cpu(**changes: Any) -> Facts:
    """Return the facts of a host without GPUs."""
    return replace(FACTS, engine=with_image(cuda=""), **changes)


def cuda(**changes: Any) -> Facts:
    """Return the facts of a host with eight H200, the toolkit, a current CDI spec and an image for CUDA 13."""
    spec = CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", tuple("01234567"), ("580.65.06",))
    seen = VendorReport("nvidia", "580.65.06", "13.0", H200)
    given: dict[str, Any] = {
        "engine": with_image(cuda="13.0", archs=("sm_80", "sm_90")),
        "toolkit": "/usr/bin/nvidia-container-runtime-hook",
        "specs": (spec,),
        "hardware": Hardware(CPU, nvidia=seen),
    }
    return replace(FACTS, platform="cuda", **(given | changes))


def rocm(**changes: Any) -> Facts:
    """Return the facts of a host with eight MI300X whose nodes this user can open."""
    paths = ("/dev/kfd", *(f"/dev/dri/renderD{128 + i}" for i in range(8)))
    given: dict[str, Any] = {
        "engine": with_image(hip="7.2"),
        "devices": tuple(Device(p, True, 109, "render", True) for p in paths),
        "hardware": Hardware(CPU, amd=VendorReport("amd", "6.12.12", gpus=MI300X)),
    }
    return replace(FACTS, platform="rocm", **(given | changes))


def with_image(**properties: Any) -> Engine:
    """Return the engine of FACTS with the platform's image."""
    return replace(ENGINE, image=ImageFacts("slipway/vllm:1", True, **properties))


def problems(facts: Facts) -> list[Finding]:
    """Return the warnings and errors."""
    return [finding for finding in run_checks(facts) if finding.severity in ("warning", "error")]


def only_problem(facts: Facts) -> Finding:
    """Return the only problem."""
    (finding,) = problems(facts)
    return finding


def nvidia(driver: str = "580.65.06", runtime: str = "13.0", **gpu: Any) -> Hardware:
    return Hardware(CPU, nvidia=VendorReport("nvidia", driver, runtime, (replace(H200[0], **gpu), *H200[1:])))
