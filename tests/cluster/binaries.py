"""Kubernetes' own programs and etcd, built from Debian 12's source package, for tests without any image registry.

`make cluster` builds them: 7 minutes on 2 busy cores, 250 MB in pytest's cache. Debian 12 is the last
release whose source package has the server: 1.20.2.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("golang-go", "etcd-server", "golang-github-modern-go-reflect2-dev", "dpkg-dev")
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
SCRIPT = Path(__file__).with_name("build.sh")
CACHE = Path(__file__).parents[2] / ".pytest_cache" / "d" / "cluster"
FIX = "make cluster"


def folder() -> Path:
    """Return the folder of the programs, which is named by everything that they are made from."""
    recipe = "\n".join((SUITE, *PACKAGES, *PROGRAMS, SCRIPT.read_text()))
    place = Path(os.environ.get("SLIPWAY_TEST_CLUSTER") or CACHE)
    return place / hashlib.sha256(recipe.encode()).hexdigest()[:12]


def built() -> Path | None:
    """Return the folder if it has all programs."""
    place = folder()
    return place if all((place / name).is_file() for name in ("etcd", *PROGRAMS)) else None


def build() -> Path:
    """Build the programs unless they are there; return their folder. Raises CalledProcessError."""
    place = folder()
    if not built():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            root = Path(temporary, "root")
            _unpack(root)
            _compile(root)
            shutil.copy2(root / "usr/bin/etcd", root / "out/etcd")
            shutil.rmtree(place, ignore_errors=True)
            (root / "out").rename(place)
    return place


def _unpack(root: Path) -> None:
    """Unpack Go, etcd and the source of Kubernetes below `root`."""
    # mmdebstrap writes the suite's usual mirror for packages; their sources are at the same place.
    sources = "sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > /etc/apt/sources.list.d/source.list"
    steps = f"{sources} && apt-get update --quiet && mkdir /source && cd /source && apt-get source --quiet kubernetes"
    hook = f'chroot "$1" sh -c "{steps}"'
    words = ["mmdebstrap", "--variant=apt", "--quiet", f"--include={','.join(PACKAGES)}"]
    subprocess.run(
        [*words, f"--customize-hook={hook}", SUITE, str(root)],
        check=True,
        timeout=600,
        stdout=sys.stderr,
    )


def _compile(root: Path) -> None:
    shutil.copy2(SCRIPT, root / "build.sh")
    (root / "out").mkdir()
    command = ["nice", "-n", "15", "chroot", str(root), "sh", "/build.sh", *PROGRAMS]
    subprocess.run(command, check=True, timeout=2400, stdout=sys.stderr)


if __name__ == "__main__":
    print(build() if shutil.which("mmdebstrap") else "no mmdebstrap: apt-get install mmdebstrap")
