"""Make a base image from Debian packages, for hosts that reach no image registry.

mmdebstrap unpacks packages into a root file system, which the engine imports. No package scripts run, so hooks write
the few files that are needed. Measured: 15 s and 90 MB; the variant `minbase` takes 52 s and 172 MB.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from errors import Failed

# The parts of python:3.12-slim that the Dockerfile needs: a shell, core tools, Python with venv, certificates.
FOUNDATION = (
    "base-files",
    "base-passwd",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "libc-bin",
    "libstdc++6",
    "python3",
    "python3-venv",
    "sed",
)

# The `extract` variant runs no package scripts; these commands replace the few that matter.
_HOOKS = (
    'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"',
    'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"',
    'cp "$1/usr/share/libc-bin/nsswitch.conf" "$1/etc/nsswitch.conf"',
    'cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"',
    'chroot "$1" /sbin/ldconfig',
    'chroot "$1" python3 -m compileall -q -j 0 /usr/lib/python3*',
    'find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +',
    # The image must not name the package mirror of the build host.
    'rm -f "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d/*',
)
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*", "/usr/share/lintian/*")


def argv(target: Path, packages: Sequence[str]) -> list[str]:
    """Return the mmdebstrap command that writes this host's Debian release as a tar file to `target`."""
    names = ",".join(sorted({*FOUNDATION, *packages}))
    hooks = [f"--extract-hook={line}" for line in _HOOKS]
    trims = [f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED]
    merged = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
    return [
        "mmdebstrap",
        "--variant=extract",
        "--quiet",
        f"--include={names}",
        merged,
        *trims,
        *hooks,
        suite(),
        str(target),
    ]


def suite() -> str:
    """Return the code name of this host's release, which its package sources serve."""
    lines = Path("/etc/os-release").read_text().splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    return release.get("VERSION_CODENAME", "").strip('"') or "stable"


def tag(packages: Sequence[str]) -> str:
    """Return the local name of the base. It includes a hash of the command, so an outdated base is not reused."""
    command = "\n".join(argv(Path("-"), packages))
    return f"slipway/base-{suite()}:{hashlib.sha256(command.encode()).hexdigest()[:12]}"


def make(target: Path, packages: Sequence[str]) -> None:
    """Write the tar file. Raises Failed with mmdebstrap's error message."""
    try:
        done = subprocess.run(argv(target, packages), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failed(
            "mmdebstrap is not installed",
            why="no image registry is reachable and the engine has no base image",
            fix="apt-get install mmdebstrap",
        ) from None
    if done.returncode:
        raise Failed(
            "mmdebstrap could not make the base image",
            why=done.stderr.strip()[-600:],
            fix="check the package sources with `apt-get update`",
        )
