"""Check that AMD supports the driver of the host together with the ROCm release of the image."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.amd_driver_table import drivers_for, release_of, rocm_of, supported_rocm
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, info, ok, warning

_LATER = "it is compared with the image once the image is built"


def driver(facts: Facts) -> Iterator[Finding]:
    """Compare driver and ROCm with AMD's table. Many other pairs work, so this is never an error."""
    if facts.platform != "rocm" or not facts.hardware.amd.gpus:
        return
    release, rocm = release_of(facts.hardware.amd.driver), rocm_of(facts.engine.image.hip)
    what, supported = _describe(facts, release), supported_rocm(release)
    if not supported:
        why = "AMD's table of drivers and ROCm releases has no row for it"
        yield info("driver", what, why, _fix_for_unlisted(rocm))
    elif not rocm:
        yield info("driver", f"{what}: AMD supports it with ROCm {', '.join(supported)}", _LATER)
    elif rocm in supported:
        yield ok("driver", f"{what}: AMD supports it with the image's ROCm {rocm}")
    else:
        yield _unsupported(what, supported, rocm)


def _describe(facts: Facts, release: str) -> str:
    number = facts.hardware.amd.driver
    if not number:
        return f"the amdgpu driver of the kernel itself (Linux {facts.kernel.release or 'unknown'})"
    return f"driver {number} (AMD's release {release})" if release else f"driver {number}"


def _fix_for_unlisted(rocm: str) -> str:
    best = drivers_for(rocm)
    return f"only if ROCm does not start: install amdgpu-dkms {best[0]}" if best else ""


def _unsupported(what: str, supported: tuple[str, ...], rocm: str) -> Finding:
    best = drivers_for(rocm)
    what, releases = f"{what}; the image has ROCm {rocm}", ", ".join(supported)
    if not best:
        return info("driver", what, f"AMD's table does not list ROCm {rocm}, only {releases}")
    return warning(
        "driver",
        what,
        f"AMD supports this driver only with ROCm {releases}",
        f"install amdgpu-dkms {best[0]} and reboot,"
        f" or use an image with ROCm {supported[0]} to {supported[-1]}",
    )


CHECKS = (driver,)
