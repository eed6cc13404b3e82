"""Check the NVIDIA container toolkit, CDI specs, and the driver against the image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launch.access.gpu_devices import SPEC_COMMANDS
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.hardware.cdi import CdiSpec
from launch.plural import count
from launch.spec.gpu_catalog import runs_code

GENERATE_SPEC = SPEC_COMMANDS["cuda"]
INSTALL_TOOLKIT = "sudo apt-get install nvidia-container-toolkit && sudo nvidia-ctk runtime configure"


def toolkit(facts: Facts) -> Iterator[Finding]:
    """Check that the engine can pass GPUs to containers: with the toolkit, or by CDI."""
    if facts.platform != "cuda":
        return
    specs = [spec for spec in facts.specs if spec.kind.startswith("nvidia.com/") and not spec.error]
    if facts.engine.podman and not specs:
        what, why = "podman without a CDI spec of NVIDIA", "podman passes GPUs by CDI name only"
        yield error("nvidia toolkit", what, why, GENERATE_SPEC)
    elif facts.toolkit or "nvidia" in facts.engine.runtimes:
        yield ok("nvidia toolkit", facts.toolkit or "the engine has the runtime 'nvidia'")
    elif specs and facts.engine.cdi:
        what = f"not installed; {specs[0].path} names {count(len(specs[0].names), 'device')}"
        yield ok("nvidia toolkit", what)
    else:
        yield error(
            "nvidia toolkit",
            "neither the container toolkit nor a CDI spec that the engine reads",
            'the engine would fail: could not select device driver "" with capabilities: [[gpu]]',
            INSTALL_TOOLKIT,
        )


def cdi(facts: Facts) -> Iterator[Finding]:
    """Check that CDI specs can be read and are for this driver."""
    for spec in facts.specs:
        if spec.error:
            of_nvidia = "nvidia" in spec.path
            report = error if facts.platform == "cuda" and of_nvidia else warning
            yield report(
                "cdi",
                f"cannot read {spec.path}: {spec.error}",
                "an engine with CDI rejects every device of a broken spec",
                GENERATE_SPEC if of_nvidia else f"repair or remove {spec.path}",
            )
        elif spec.kind.startswith("nvidia.com/") and facts.platform == "cuda":
            yield _compare_spec(spec, facts.hardware.nvidia.driver)


def _compare_spec(spec: CdiSpec, driver: str) -> Finding:
    if driver and spec.drivers and driver not in spec.drivers:
        what = f"{spec.path} is for driver {', '.join(spec.drivers)}; the host runs {driver}"
        return error("cdi", what, "the libraries that it names are missing", GENERATE_SPEC)
    if spec.missing:
        what = f"{spec.path} names {spec.missing[0]}, which does not exist"
        return error("cdi", what, "containers with these devices cannot start", GENERATE_SPEC)
    return ok("cdi", f"{spec.path}: {count(len(spec.names), 'device')}")


def driver(facts: Facts) -> Iterator[Finding]:
    """Check that the driver supports the CUDA release of the image (from its capabilities)."""
    detected, image = facts.hardware.nvidia, facts.engine.image
    major = _major(detected.driver)
    if facts.platform != "cuda" or not major:
        return
    if not image.cuda:
        what = f"driver {detected.driver} supports CUDA {detected.runtime or 'unknown'}"
        yield info("driver", what, "it is compared with the image once the image is built")
        return
    release = image.cuda.partition(".")[0]
    required = thresholds().oldest_driver.value.get(release, 0)
    if major >= required:
        yield ok("driver", f"driver {detected.driver} supports the image's CUDA {image.cuda}")
    elif major in thresholds().compatible_drivers.value.get(release, ()):
        yield warning(
            "driver",
            f"driver {detected.driver} is older than {required}, which CUDA {image.cuda} needs",
            "data-centre GPUs can run it with the compatibility libraries",
            "invoke run --env VLLM_ENABLE_CUDA_COMPATIBILITY=1",
        )
    else:
        yield error(
            "driver",
            f"driver {detected.driver}; the image's CUDA {image.cuda} needs {required} or newer",
            "vLLM would fail: The NVIDIA driver on your system is too old",
            f"install driver {required} or newer, or use an image for CUDA {detected.runtime}",
        )


def _major(version: str) -> int:
    match = re.match(r"\d+", version)
    return int(match.group()) if match else 0


def kernels(facts: Facts) -> Iterator[Finding]:
    """Check that the image has kernels for these GPUs (from its capabilities)."""
    archs = facts.engine.image.archs
    if not archs or facts.platform == "cpu":
        return
    for arch in sorted({gpu.arch for gpu in facts.hardware.for_platform(facts.platform).gpus if gpu.arch}):
        if not any(runs_code(arch, built) for built in archs):
            yield error(
                "image",
                f"{facts.engine.image.reference} has no kernels for {arch}",
                f"it was compiled for {' '.join(archs)}",
                "use another image",
            )


CHECKS = (toolkit, cdi, driver, kernels)
