"""Read NVIDIA GPUs through NVML, the driver's own library. If one GPU fails, the others are still reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from launch.hardware import gpu_ids, sysfs
from launch.hardware.types import Gpu, GpuProcess, VendorReport


def read(root: Path = Path("/")) -> VendorReport:
    """Return the NVIDIA GPUs of this host. A host without a driver has none, and that is not a problem."""
    import pynvml  # type: ignore[import-untyped]

    try:
        with nvml_session(pynvml):
            return _report(pynvml, root)
    except pynvml.NVMLError as error:
        absent = error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND and not _loaded(root)
        return VendorReport("nvidia", driver=_loaded(root), problems=() if absent else (f"NVML: {error}",))


@contextmanager
def nvml_session(nvml: ModuleType) -> Iterator[None]:
    """Load the driver's library for as long as the block takes. Raises NVMLError."""
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _loaded(root: Path) -> str:
    """Return the version of the kernel module, "" if it is not loaded."""
    return sysfs.read_text(root / "sys/module/nvidia/version")


def _report(nvml: ModuleType, root: Path) -> VendorReport:
    count = range(nvml.nvmlDeviceGetCount())
    handles = {index: query(nvml, nvml.nvmlDeviceGetHandleByIndex, index) for index in count}
    gpus = tuple(_gpu(nvml, root, index, handles) for index in handles)
    version = query(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    return VendorReport(
        "nvidia",
        driver=query(nvml, nvml.nvmlSystemGetDriverVersion) or _loaded(root),
        runtime=f"{version // 1000}.{version % 1000 // 10}" if version else "",
        gpus=gpus,
        problems=tuple(f"GPU {gpu.index}: {gpu.problem}" for gpu in gpus if gpu.problem),
    )


def query(nvml: ModuleType, function: Callable[..., Any], *args: Any) -> Any:
    """Return the result of an NVML function, None if driver, library or GPU do not support it."""
    try:
        return function(*args)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None


def _gpu(nvml: ModuleType, root: Path, index: int, handles: dict[int, Any]) -> Gpu:
    handle, problem = handles[index], _problem(nvml, index)
    if handle is None:
        return Gpu(index, "nvidia", problem=problem)
    name = query(nvml, nvml.nvmlDeviceGetName, handle) or ""
    arch = _arch(query(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle))
    pci = _pci(query(nvml, nvml.nvmlDeviceGetPciInfo, handle))
    memory = _memory(nvml, handle)
    numa = sysfs.read_number(root / "sys/bus/pci/devices" / pci / "numa_node") if pci else None
    ecc = query(nvml, nvml.nvmlDeviceGetEccMode, handle)
    mig = query(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return Gpu(
        index=index,
        vendor="nvidia",
        name=name,
        hardware=gpu_ids.nvidia(name, arch),
        arch=arch,
        uuid=query(nvml, nvml.nvmlDeviceGetUUID, handle) or "",
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


def _problem(nvml: ModuleType, index: int) -> str:
    """Return why the GPU cannot be used: it must at least report its memory, as every GPU can."""
    try:
        nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
    except nvml.NVMLError as error:
        return f"NVML reports: {error}"
    return ""


def _arch(capability: tuple[int, int] | None) -> str:
    return f"sm_{capability[0]}{capability[1]}" if capability else ""


def _pci(info: Any) -> str:
    """Return the address as sysfs writes it: the kernel's domain has four digits, NVML's eight."""
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0" if info else ""


def _memory(nvml: ModuleType, handle: Any) -> Any:
    """Return total and used memory. NVML v2 excludes the driver's reserve from `used`; old drivers lack v2."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        return query(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)


def _links(nvml: ModuleType, index: int, handles: dict[int, Any]) -> tuple[int, ...]:
    """Return the GPUs reached over NVLink, directly or through NVSwitch: NVML reports both as peers."""
    handle, kind = handles[index], nvml.NVML_P2P_CAPS_INDEX_NVLINK
    return tuple(
        other
        for other, peer in handles.items()
        if other != index and peer is not None and _are_joined(nvml, handle, peer, kind)
    )


def _are_joined(nvml: ModuleType, one: Any, other: Any, kind: int) -> bool:
    return bool(query(nvml, nvml.nvmlDeviceGetP2PStatus, one, other, kind) == nvml.NVML_P2P_STATUS_OK)


def _processes(nvml: ModuleType, handle: Any, root: Path) -> tuple[GpuProcess, ...]:
    running = query(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return tuple(
        GpuProcess(
            int(p.pid), sysfs.read_text(root / f"proc/{p.pid}/comm"), p.usedGpuMemory and int(p.usedGpuMemory)
        )
        for p in running
    )
