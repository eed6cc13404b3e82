"""GPUs: are they there, free and healthy, and can a container be given them."""

from __future__ import annotations

from collections.abc import Iterator

from launch.allocation.gpus import BUSY
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.hardware.types import Gpu


def processor(facts: Facts) -> Iterator[Finding]:
    """vLLM on a CPU needs AVX2 and likes AVX512."""
    cpu = facts.hardware.cpu
    size = (
        f"{cpu.cores} cores, {cpu.nodes} NUMA node(s), {cpu.memory / 2**30:.0f} GiB, {' '.join(cpu.features)}"
    )
    seen = f"{cpu.model or cpu.arch or 'unknown CPU'}: {size}"
    if facts.platform != "cpu":
        yield ok("cpu", seen)
    elif cpu.arch in ("x86_64", "") and "avx2" not in cpu.features:
        yield error("cpu", seen, "vLLM's CPU kernels need AVX2", "use another machine")
    elif cpu.arch in ("x86_64", "") and "avx512" not in cpu.features:
        yield warning("cpu", f"{seen}: no AVX512", "vLLM's CPU backend is slow without it", "use a newer CPU")
    else:
        yield ok("cpu", seen)


def present(facts: Facts) -> Iterator[Finding]:
    """The platform's GPUs are seen by their driver."""
    if facts.platform == "cpu":
        yield from _unused(facts)
        return
    vendor = "NVIDIA" if facts.platform == "cuda" else "AMD"
    seen, on_bus = facts.hardware.for_platform(facts.platform), _on_bus(facts)
    if not seen.gpus:
        what = (
            f"{on_bus} {vendor} device(s) on the PCI bus, none shown by a driver"
            if on_bus
            else f"no {vendor} GPU here"
        )
        remedy = (
            _driver_remedy(facts.platform)
            if on_bus
            else "invoke doctor --platform cpu, or a machine with GPUs"
        )
        yield error(
            "gpus", "; ".join((what, *seen.problems)), f"--platform {facts.platform} needs one", remedy
        )
        return
    yield ok("gpus", f"{_counted(seen.gpus)}, driver {seen.driver or 'unknown'}")
    for problem in seen.problems:
        yield warning(
            "gpus", problem, "this GPU cannot be used", "sudo dmesg | tail -50  # then reset or replace it"
        )
    if on_bus > len(seen.gpus):
        why = "a card that the driver lost cannot be used"
        yield warning(
            "gpus",
            f"{on_bus} on the PCI bus, {len(seen.gpus)} shown by the driver",
            why,
            "sudo dmesg | tail -50",
        )


def _unused(facts: Facts) -> Iterator[Finding]:
    others = [platform for platform in ("cuda", "rocm") if facts.hardware.for_platform(platform).gpus]
    if others:
        yield info(
            "gpus",
            f"GPUs are here and not looked at: {_counted(facts.hardware.gpus)}",
            remedy=f"invoke doctor --platform {others[0]}",
        )
    else:
        yield ok("gpus", "none here, and none needed on cpu")


def _on_bus(facts: Facts) -> int:
    vendor = "nvidia" if facts.platform == "cuda" else "amd"
    return sum(device.vendor == vendor for device in facts.hardware.pci)


def _driver_remedy(platform: str) -> str:
    if platform == "cuda":
        return "sudo modprobe nvidia  # or install NVIDIA's driver, then reboot"
    return "sudo modprobe amdgpu  # or install AMD's driver (amdgpu-dkms), then reboot"


def _counted(gpus: tuple[Gpu, ...]) -> str:
    names = [gpu.name or "a GPU that does not say its name" for gpu in gpus]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def alike(facts: Facts) -> Iterator[Finding]:
    """One model of GPU, and one that recipes know."""
    gpus = [gpu for gpu in facts.hardware.for_platform(facts.platform).gpus if not gpu.problem]
    names = {gpu.name for gpu in gpus}
    if len(names) > 1:
        yield warning(
            "gpus",
            f"different models: {', '.join(sorted(names))}",
            "one server needs GPUs of one kind",
            "invoke run --gpus 0,1  # name those of one kind",
        )
    for name in sorted({gpu.name for gpu in gpus if not gpu.hardware}):
        arch = next(gpu.arch for gpu in gpus if gpu.name == name)
        yield info(
            "gpus",
            f"{name} ({arch or 'unknown architecture'}) is in no recipe's list",
            "memory and flags are planned from its own facts alone",
        )


def busy(facts: Facts) -> Iterator[Finding]:
    """Nobody else holds their memory."""
    for gpu in facts.hardware.for_platform(facts.platform).gpus:
        held = gpu.used or 0
        if held >= BUSY or gpu.processes:
            who = (
                ", ".join(f"{p.name or 'process'} ({p.pid})" for p in gpu.processes[:3])
                or "a process not shown here"
            )
            yield warning(
                "gpus",
                f"GPU {gpu.index}: {held / 2**30:.1f} GiB in use by {who}",
                "vLLM wants 92 % of the memory and stops where it is not free",
                "invoke run --gpus N takes the free ones; or stop that process",
            )


def split(facts: Facts) -> Iterator[Finding]:
    """Whole cards: MIG slices and AMD partitions are small GPUs."""
    for gpu in facts.hardware.for_platform(facts.platform).gpus:
        if gpu.mig:
            yield warning(
                "gpus",
                f"GPU {gpu.index}: MIG is on",
                "a large model needs whole GPUs",
                f"sudo nvidia-smi -i {gpu.index} -mig 0",
            )
    cut = [
        gpu for gpu in facts.hardware.for_platform(facts.platform).gpus if gpu.partition not in ("", "SPX")
    ]
    if cut:
        seen = f"{len(cut)} card(s) in {cut[0].partition}: {cut[0].ranks} devices each"
        yield warning(
            "gpus",
            seen,
            "each device has a fraction of the card's memory; large models want SPX",
            "sudo amd-smi set --compute-partition SPX",
        )


CHECKS = (processor, present, alike, busy, split)
