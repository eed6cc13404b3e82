"""Check the GPUs: present, free, healthy and of one model."""

from __future__ import annotations

from collections.abc import Iterator

from launch.allocation.choose_gpus import BUSY
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.hardware.types import Gpu
from launch.plural import count

_VENDORS = {"cuda": "NVIDIA", "rocm": "AMD"}


def processor(facts: Facts) -> Iterator[Finding]:
    """Check the CPU: vLLM on CPU needs AVX2 and is slow without AVX512."""
    cpu = facts.hardware.cpu
    memory = f"{cpu.memory / 2**30:.0f} GiB"
    what = (
        f"{cpu.model or cpu.arch or 'unknown CPU'}: {cpu.cores} cores, {count(cpu.nodes, 'NUMA node')}, {memory},"
        f" {' '.join(cpu.features)}"
    )
    if facts.platform != "cpu":
        yield ok("cpu", what)
    elif cpu.arch in ("x86_64", "") and "avx2" not in cpu.features:
        yield error("cpu", what, "vLLM's CPU kernels need AVX2", "use another machine")
    elif cpu.arch in ("x86_64", "") and "avx512" not in cpu.features:
        yield warning("cpu", f"{what}: no AVX512", "vLLM on CPU is slow without it", "use a newer CPU")
    else:
        yield ok("cpu", what)


def present(facts: Facts) -> Iterator[Finding]:
    """Check that the driver reports the GPUs of the platform."""
    if facts.platform == "cpu":
        yield from _unused(facts)
        return
    detected, on_bus = facts.hardware.for_platform(facts.platform), _count_on_bus(facts)
    if not detected.gpus:
        yield _no_gpu(facts, on_bus)
        return
    yield ok("gpus", f"{_count_by_name(detected.gpus)}, driver {detected.driver or 'unknown'}")
    for problem in detected.problems:
        fix = "sudo dmesg | tail -50  # then reset or replace it"
        yield warning("gpus", problem, "this GPU cannot be used", fix)
    if on_bus > len(detected.gpus):
        what = f"{on_bus} GPUs on the PCI bus, {len(detected.gpus)} reported by the driver"
        yield warning("gpus", what, "a GPU that the driver lost cannot be used", "sudo dmesg | tail -50")


def _no_gpu(facts: Facts, on_bus: int) -> Finding:
    vendor, problems = _VENDORS[facts.platform], facts.hardware.for_platform(facts.platform).problems
    what, fix = f"no {vendor} GPU", "invoke doctor --platform cpu, or use a machine with GPUs"
    if on_bus:
        what = f"{count(on_bus, f'{vendor} device')} on the PCI bus, none reported by a driver"
        fix = "sudo modprobe amdgpu  # or install AMD's driver (amdgpu-dkms), then reboot"
        if facts.platform == "cuda":
            fix = "sudo modprobe nvidia  # or install NVIDIA's driver, then reboot"
    return error("gpus", "; ".join((what, *problems)), f"--platform {facts.platform} needs a GPU", fix)


def _unused(facts: Facts) -> Iterator[Finding]:
    platforms = [platform for platform in _VENDORS if facts.hardware.for_platform(platform).gpus]
    if platforms:
        what = f"not checked for this platform: {_count_by_name(facts.hardware.gpus)}"
        yield info("gpus", what, fix=f"invoke doctor --platform {platforms[0]}")
    else:
        yield ok("gpus", "no GPU, and the platform cpu needs none")


def _count_on_bus(facts: Facts) -> int:
    vendor = _VENDORS[facts.platform].lower()
    return sum(device.vendor == vendor for device in facts.hardware.pci)


def _count_by_name(gpus: tuple[Gpu, ...]) -> str:
    names = [gpu.name or "a GPU without a name" for gpu in gpus]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def same_model(facts: Facts) -> Iterator[Finding]:
    """Check that all GPUs are of one model, which the recipes list."""
    gpus = [gpu for gpu in facts.hardware.for_platform(facts.platform).gpus if not gpu.problem]
    names = {gpu.name for gpu in gpus}
    if len(names) > 1:
        yield warning(
            "gpus",
            f"different models: {', '.join(sorted(names))}",
            "one server needs GPUs of one model",
            "invoke run --gpus 0,1  # the indices of GPUs of one model",
        )
    for name in sorted({gpu.name for gpu in gpus if not gpu.hardware}):
        arch = next(gpu.arch for gpu in gpus if gpu.name == name)
        yield info(
            "gpus",
            f"no recipe lists {name} ({arch or 'unknown architecture'})",
            "memory and options are planned from the detected properties only",
        )


def in_use(facts: Facts) -> Iterator[Finding]:
    """Check that no other process uses the memory of the GPUs."""
    for gpu in facts.hardware.for_platform(facts.platform).gpus:
        used = gpu.used or 0
        if used >= BUSY or gpu.processes:
            processes = (f"{process.name or 'process'} ({process.pid})" for process in gpu.processes[:3])
            yield warning(
                "gpus",
                f"GPU {gpu.index}: {used / 2**30:.1f} GiB in use by"
                f" {', '.join(processes) or 'a process that is not visible here'}",
                "vLLM reserves 92 % of the memory, and exits if it is not free",
                "invoke run --gpus N, which selects free GPUs; or stop that process",
            )


def partitions(facts: Facts) -> Iterator[Finding]:
    """Check that GPUs are not partitioned: MIG slices and AMD partitions are small."""
    gpus = facts.hardware.for_platform(facts.platform).gpus
    for gpu in gpus:
        if gpu.mig:
            yield warning(
                "gpus",
                f"GPU {gpu.index}: MIG is on",
                "a large model needs complete GPUs",
                f"sudo nvidia-smi -i {gpu.index} -mig 0",
            )
    partitioned = [gpu for gpu in gpus if gpu.partition not in ("", "SPX")]
    if partitioned:
        mode, devices = partitioned[0].partition, partitioned[0].ranks
        yield warning(
            "gpus",
            f"{count(len(partitioned), 'card')} in mode {mode}: {devices} devices each",
            "each device has a fraction of the card's memory; large models need SPX",
            "sudo amd-smi set --compute-partition SPX",
        )


CHECKS = (processor, present, same_model, in_use, partitions)
