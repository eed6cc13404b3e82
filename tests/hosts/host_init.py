"""The first process of a simulated host: give it files of its own, report that it is ready, adopt orphans.

`simulated_host.py` starts this script in new mount, network and PID namespaces. What the host changes below /etc, /dev,
/var/lib, /run and /sys stays in the memory of the namespace, and is gone when its last process has ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# Folders in which the host sees the files of this machine, and changes only copies of them.
COPIED = ("/etc", "/dev", "/var/lib", "/sys/class")
KEPT = ("/dev/pts", "/dev/shm", "/sys/fs/cgroup")  # mounts that would be hidden
EMPTY = ("/run", "/sys/bus/pci")
# Large folders of the engines, on the disk: an overlay cannot have its upper folder on another overlay.
ON_DISK = ("/var/lib/docker", "/var/lib/containers")
OWN_GPUS = (
    "/sys/class/kfd",
    "/dev/kfd",
    "/dev/dri",
)  # of this machine, which the simulated host must not show


def main(folder: Path) -> None:
    """Set up the files of the host in `folder`, print the PID that other namespaces see, and wait for children."""
    pid = Path("/proc/self").readlink().name
    memory = folder / "memory"
    memory.mkdir()
    mount("-t", "tmpfs", "tmpfs", str(memory))
    mount("-t", "proc", "proc", "/proc")
    for path in KEPT:
        mount("--rbind", path, str(new(memory / "kept" / path.strip("/"))))
    mount("-t", "sysfs", "sysfs", "/sys")  # that of the new network namespace
    for path in COPIED:
        copy_on_write(path, memory / path.strip("/").replace("/", "-"))
    for path in EMPTY:
        mount("-t", "tmpfs", "tmpfs", path)
    for path in KEPT:
        mount("--rbind", str(memory / "kept" / path.strip("/")), path)
    for path in ON_DISK:
        mount("--bind", str(new(folder / Path(path).name)), str(new(Path(path))))
    for shown in (*map(Path, OWN_GPUS), *Path("/dev").glob("nvidia*")):
        remove(shown)
    new(Path("/run/lock"))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(pid, flush=True)
    adopt_orphans()


def mount(*arguments: str) -> None:
    """Mount something."""
    subprocess.run(["mount", *arguments], check=True)


def new(folder: Path) -> Path:
    """Create a folder unless it exists, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def copy_on_write(path: str, layer: Path) -> None:
    """Mount an overlay over a folder, so that changes go to memory."""
    layers = f"lowerdir={path},upperdir={new(layer / 'upper')},workdir={new(layer / 'work')}"
    mount("-t", "overlay", "overlay", "-o", layers, path)


def remove(path: Path) -> None:
    """Remove a file or folder in the overlay; the machine's own stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def adopt_orphans() -> None:
    """Wait for processes whose parents have ended: nothing else can, in a PID namespace."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
