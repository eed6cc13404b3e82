"""NVIDIA GPUs through NVML, the driver's own library. One GPU's failure loses none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launch.hardware import gpu_ids, sysfs
from launch.hardware.types import Gpu, Process, Seen


def read(root: Path = Path("/")) -> Seen:
    """The NVIDIA GPUs of this host. Without a driver: none, and no problem either."""
    import pynvml  # type: ignore[import-untyped]

    try:
        with _nvml(pynvml):
            return _seen(pynvml, root)
    except pynvml.NVMLError as error:
        absent = error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND and not _loaded(root)
        return Seen("nvidia", driver=_loaded(root), problems=() if absent else (f"NVML: {error}",))


@contextmanager
def _nvml(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _loaded(root: Path) -> str:
    """The version of the kernel module, "" where none is loaded."""
    return sysfs.text(root / "sys/module/nvidia/version")


def _seen(nvml: Any, root: Path) -> Seen:
    count = range(nvml.nvmlDeviceGetCount())
    handles = {index: _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index) for index in count}
    gpus = tuple(_gpu(nvml, root, index, handles) for index in handles)
    version = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    return Seen(
        "nvidia",
        driver=_ask(nvml, nvml.nvmlSystemGetDriverVersion) or _loaded(root),
        runtime=f"{version // 1000}.{version % 1000 // 10}" if version else "",
        gpus=gpus,
        problems=tuple(f"GPU {gpu.index}: {gpu.problem}" for gpu in gpus if gpu.problem),
    )


def _ask(nvml: Any, question: Callable[..., Any], *about: Any) -> Any:
    """An answer, or None where the driver, the library or the GPU does not know."""
    try:
        return question(*about)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None


def _gpu(nvml: Any, root: Path, index: int, handles: dict[int, Any]) -> Gpu:
    handle, problem = handles[index], _problem(nvml, index)
    if handle is None:
        return Gpu(index, "nvidia", problem=problem)
    name = _ask(nvml, nvml.nvmlDeviceGetName, handle) or ""
    arch = _arch(_ask(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle))
    pci = _pci(_ask(nvml, nvml.nvmlDeviceGetPciInfo, handle))
    memory = _memory(nvml, handle)
    numa = sysfs.read_number(root / "sys/bus/pci/devices" / pci / "numa_node") if pci else None
    ecc = _ask(nvml, nvml.nvmlDeviceGetEccMode, handle)
    mig = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return Gpu(
        index=index,
        vendor="nvidia",
        name=name,
        hardware=gpu_ids.nvidia(name, arch),
        arch=arch,
        uuid=_ask(nvml, nvml.nvmlDeviceGetUUID, handle) or "",
        pci=pci,
        numa=numa if numa is not None and numa >= 0 else None,
        memory=int(memory.total) if memory else None,
        used=int(memory.used) if memory else None,
        links=_links(nvml, index, handles),
        processes=_processes(nvml, handle, root),
        mig=bool(mig and mig[0]),
        ecc=bool(ecc[0]) if ecc else None,
        problem=problem,
    )


def _problem(nvml: Any, index: int) -> str:
    """Why the GPU cannot be used: it must answer at least what every GPU can."""
    try:
        nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
    except nvml.NVMLError as error:
        return f"NVML says: {error}"
    return ""


def _arch(capability: tuple[int, int] | None) -> str:
    return f"sm_{capability[0]}{capability[1]}" if capability else ""


def _pci(info: Any) -> str:
    """As sysfs writes it: NVML's domain has eight digits, the kernel's four."""
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0" if info else ""


def _memory(nvml: Any, handle: Any) -> Any:
    """Total and used. The second version counts the driver's own reserve apart; old drivers lack it."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        return _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)


def _links(nvml: Any, index: int, handles: dict[int, Any]) -> tuple[int, ...]:
    """GPUs reached over NVLink, directly or through NVSwitch: both are peers for the NVLink capability."""
    mine, kind = handles[index], nvml.NVML_P2P_CAPS_INDEX_NVLINK
    return tuple(
        other
        for other, peer in handles.items()
        if other != index and peer is not None and _joined(nvml, mine, peer, kind)
    )


def _joined(nvml: Any, one: Any, other: Any, kind: int) -> bool:
    return bool(_ask(nvml, nvml.nvmlDeviceGetP2PStatus, one, other, kind) == nvml.NVML_P2P_STATUS_OK)


def _processes(nvml: Any, handle: Any, root: Path) -> tuple[Process, ...]:
    running = _ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return tuple(
        Process(int(p.pid), sysfs.text(root / f"proc/{p.pid}/comm"), p.usedGpuMemory and int(p.usedGpuMemory))
        for p in running
    )
