"""NVIDIA: the toolkit or a CDI spec that hands GPUs to containers, and a driver new enough for the image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launch.access.gpu_devices import MAKERS
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.hardware.cdi import CdiSpec

MAKE_SPEC = MAKERS["cuda"]
INSTALL = "sudo apt-get install nvidia-container-toolkit && sudo nvidia-ctk runtime configure"


def handed_over(facts: Facts) -> Iterator[Finding]:
    """`--gpus` through the toolkit, or CDI."""
    if facts.platform != "cuda":
        return
    specs = [spec for spec in facts.specs if spec.kind.startswith("nvidia.com/") and not spec.error]
    toolkit = facts.toolkit or "nvidia" in facts.engine.runtimes
    if facts.engine.podman and not specs:
        yield error(
            "nvidia toolkit",
            "podman, and no CDI spec of NVIDIA's",
            "podman takes GPUs by CDI names only",
            MAKE_SPEC,
        )
    elif toolkit:
        yield ok("nvidia toolkit", facts.toolkit or "the engine has the runtime 'nvidia'")
    elif specs and facts.engine.cdi:
        yield ok("nvidia toolkit", f"none, but {specs[0].path} names {len(specs[0].names)} device(s)")
    else:
        why = 'the engine would say: could not select device driver "" with capabilities: [[gpu]]'
        yield error(
            "nvidia toolkit",
            "neither the container toolkit nor a CDI spec that the engine reads",
            why,
            INSTALL,
        )


def cdi(facts: Facts) -> Iterator[Finding]:
    """CDI specs that can be read and were made for this driver."""
    for spec in facts.specs:
        if spec.error:
            severity = error if facts.platform == "cuda" and "nvidia" in spec.path else warning
            yield severity(
                "cdi",
                f"{spec.path} cannot be read: {spec.error}",
                "an engine with CDI refuses every device of a broken spec",
                _again(spec),
            )
        elif spec.kind.startswith("nvidia.com/") and facts.platform == "cuda":
            yield from _current(spec, facts)


def _again(spec: CdiSpec) -> str:
    return MAKE_SPEC if "nvidia" in spec.path else f"mend or remove {spec.path}"


def _current(spec: CdiSpec, facts: Facts) -> Iterator[Finding]:
    driver = facts.hardware.nvidia.driver
    if driver and spec.drivers and driver not in spec.drivers:
        yield error(
            "cdi",
            f"{spec.path} was made for driver {', '.join(spec.drivers)}, {driver} runs",
            "its libraries are no longer where it says",
            MAKE_SPEC,
        )
    elif spec.missing:
        yield error(
            "cdi",
            f"{spec.path} names {spec.missing[0]}, which does not exist",
            "containers with these devices cannot start",
            MAKE_SPEC,
        )
    else:
        yield ok("cdi", f"{spec.path}: {len(spec.names)} device(s)")


def driver(facts: Facts) -> Iterator[Finding]:
    """The driver serves the CUDA release inside the image (its contract)."""
    seen, image = facts.hardware.nvidia, facts.engine.image
    have = _major(seen.driver)
    if facts.platform != "cuda" or not have:
        return
    if not image.cuda:
        yield info(
            "driver",
            f"driver {seen.driver} serves CUDA {seen.runtime or 'unknown'}",
            "compared with the image once it is built",
        )
        return
    release = image.cuda.partition(".")[0]
    need = thresholds().oldest_driver.value.get(release, 0)
    if have >= need:
        yield ok("driver", f"driver {seen.driver} serves the image's CUDA {image.cuda}")
    elif have in thresholds().compatible_drivers.value.get(release, ()):
        yield warning(
            "driver",
            f"driver {seen.driver} is older than the {need} of CUDA {image.cuda}",
            "data-centre GPUs can run it with the compatibility libraries",
            "invoke run --env VLLM_ENABLE_CUDA_COMPATIBILITY=1",
        )
    else:
        yield error(
            "driver",
            f"driver {seen.driver}; the image's CUDA {image.cuda} needs {need} or newer",
            "vLLM would say: The NVIDIA driver on your system is too old",
            f"install driver {need} or newer, or use an image for CUDA {seen.runtime}",
        )


def _major(version: str) -> int:
    match = re.match(r"\d+", version)
    return int(match.group()) if match else 0


def compiled_for(facts: Facts) -> Iterator[Finding]:
    """The image has kernels for these GPUs (its contract)."""
    archs = facts.engine.image.archs
    if not archs or facts.platform == "cpu":
        return
    for arch in sorted({gpu.arch for gpu in facts.hardware.on(facts.platform).gpus if gpu.arch}):
        if not any(_runs(built, arch) for built in archs):
            yield error(
                "image",
                f"{facts.engine.image.reference} has no kernels for {arch}",
                f"it was compiled for {' '.join(archs)}",
                "use another image",
            )


def _runs(built: str, arch: str) -> bool:
    """CUDA code runs on later minor architectures of its major; AMD's on its own."""
    if not built.startswith("sm_"):
        return built.partition(":")[0] == arch
    return built[:-1] == arch[:-1] and built <= arch


CHECKS = (handed_over, cdi, driver, compiled_for)
