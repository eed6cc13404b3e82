"""AMD: the driver on the host and the ROCm in the image come from releases that AMD supports together."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor import amd_driver_table
from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, info, ok, warning

LATER = "compared with the image once it is built"


def driver(facts: Facts) -> Iterator[Finding]:
    """AMD's table names them in one row. Outside of it much still works: never an error."""
    if facts.platform != "rocm" or not facts.hardware.amd.gpus:
        return
    release, rocm = (
        amd_driver_table.release_of(facts.hardware.amd.driver),
        amd_driver_table.rocm_of(facts.engine.image.hip),
    )
    seen = _named(facts, release)
    if not amd_driver_table.supported(release):
        yield info("driver", seen, "AMD's table of drivers and ROCm releases has no row for it", _own(facts))
    elif not rocm:
        known = ", ".join(amd_driver_table.supported(release))
        yield info("driver", f"{seen}: AMD supports it with ROCm {known}", LATER)
    elif rocm in amd_driver_table.supported(release):
        yield ok("driver", f"{seen}: AMD supports it with the image's ROCm {rocm}")
    else:
        yield _apart(seen, release, rocm)


def _named(facts: Facts, release: str) -> str:
    number = facts.hardware.amd.driver
    if not number:
        return f"the amdgpu driver of the kernel itself (Linux {facts.kernel.release or 'unknown'})"
    return f"driver {number} (AMD's release {release})" if release else f"driver {number}"


def _own(facts: Facts) -> str:
    """What helps where the driver cannot be compared: nothing, unless ROCm does not start."""
    best = amd_driver_table.drivers_for(amd_driver_table.rocm_of(facts.engine.image.hip))
    return f"only if ROCm does not start: install amdgpu-dkms {best[0]}" if best else ""


def _apart(seen: str, release: str, rocm: str) -> Finding:
    known, best = amd_driver_table.supported(release), amd_driver_table.drivers_for(rocm)
    if not best:
        why = "a release that AMD's table does not name yet"
        return info("driver", f"{seen}; the image has ROCm {rocm}", why, f"it knows: {', '.join(known)}")
    return warning(
        "driver",
        f"{seen}; the image has ROCm {rocm}",
        f"AMD supports this driver with ROCm {', '.join(known)} only",
        f"install amdgpu-dkms {best[0]} and reboot, or use an image for ROCm {known[0]} to {known[-1]}",
    )


CHECKS = (driver,)
