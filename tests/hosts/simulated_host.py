"""A simulated host: processes in mount, network and PID namespaces of their own, with real engines among them.

Tests write its GPUs as files: `host.root / "dev/kfd"` is the host's /dev/kfd, and exists nowhere else. When the first
process of the host is killed, the kernel ends all others and drops mounts, devices and networks.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.invocation import INTERRUPTIBLE, Finished, finished

if TYPE_CHECKING:
    from docker import DockerClient

NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")
OTHER_USER = 65534
NULL = os.makedev(1, 3)  # a device node with this number is harmless: it is /dev/null
PROGRAMS = str(Path(sys.executable).parent)  # the folder of `invoke`
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = ("unshare", "nsenter", "ip", "mount")
START_SECONDS = STOP_SECONDS = 20


class CannotSimulate(Exception):
    """This machine cannot run simulated hosts; the text says why."""


@dataclass
class SimulatedHost:
    """A running host: its folder on this machine, the PID of its first process, and its variables."""

    folder: Path
    pid: int
    env: dict[str, str] = field(default_factory=dict)
    socket: str = ""  # of the engine, below the root
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The root folder of the host, as this machine sees it."""
        return Path(f"/proc/{self.pid}/root")

    def argv(self, *words: str) -> list[str]:
        """Return the words of a command that runs on the host, in the root of the repository."""
        enter = ("nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--")
        return [*enter, *INTERRUPTIBLE, "--chdir", str(ROOT), *words]

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command on the host and leave its output to the caller."""
        variables = {**self.env, **env}
        pipe = subprocess.PIPE
        return subprocess.Popen(self.argv(*words), env=variables, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, **env: str) -> Finished:
        """Run a command on the host and wait for its end."""
        return finished(self.start(*words, **env))

    def invoke(self, *words: str, **env: str) -> Finished:
        """Run `invoke` on the host and wait for its end."""
        return self.run(sys.executable, "-m", "invoke", *words, **env)

    def invoke_at_once(self, *commands: tuple[str, ...]) -> list[Finished]:
        """Run several `invoke` commands at the same time."""
        started = [self.start(sys.executable, "-m", "invoke", *words) for words in commands]
        return [finished(process) for process in started]

    def daemon(self, name: str, *words: str, listens: str | int, **env: str) -> None:
        """Start a service on the host, and wait until it listens on a TCP port or on a socket below the root."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(self.argv(*words), env={**self.env, **env}, stdout=file, stderr=file)
        self.daemons.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not self._listens(listens):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotSimulate(f"{name} does not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.05)

    def _listens(self, on: str | int) -> bool:
        if isinstance(on, str):
            return (self.root / on).exists()
        rows = [line.split() for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()]
        return any(row[1].endswith(f":{on:04X}") and row[3] == "0A" for row in rows)

    def engine(self) -> DockerClient:
        """Return a client of the host's engine."""
        import docker

        return docker.DockerClient(base_url=f"unix://{self.root / self.socket}", timeout=60)

    def add_device(self, path: str, group: int | None = None) -> None:
        """Make a harmless device node that everybody may open, or only its group.

        Then root does not own it either: a server without capabilities that runs as root needs the group, too.
        """
        node = self.root / path.lstrip("/")
        node.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(node, stat.S_IFCHR, NULL)
        node.chmod(0o666 if group is None else 0o660)
        os.chown(node, *((0, 0) if group is None else (OTHER_USER, group)))

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the host."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def stop(self) -> None:
        """End the services in the reverse order of their starts; an engine ends its containers."""
        for process in reversed(self.daemons):
            end(process)
        self.daemons.clear()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command that runs on a host."""
    if process.poll() is not None:
        return
    for pid in _children(process.pid):  # nsenter waits for the command and passes no signal on
        os.kill(pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_SECONDS)
    process.kill()
    process.wait()


@contextmanager
def simulated_host(variables: Mapping[str, str]) -> Iterator[SimulatedHost]:
    """Start a host, and end it with all that belongs to it after the block. Raises CannotSimulate."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool, path=SYSTEM_PATH)]:
        raise CannotSimulate(f"not installed: {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-host-"))
    try:
        with _first_process(folder) as pid:
            home = folder / "home"
            home.mkdir()
            env = {"PATH": f"{PROGRAMS}:{SYSTEM_PATH}", "HOME": str(home), "LANG": "C.UTF-8", **variables}
            host = SimulatedHost(folder, pid, env)
            try:
                yield host
            finally:
                host.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_control_groups()


@contextmanager
def _first_process(folder: Path) -> Iterator[int]:
    """Start the host's first process; yield its PID on this machine."""
    script = Path(__file__).with_name("host_init.py")
    words = ["unshare", *NAMESPACES, sys.executable, str(script), str(folder)]
    env, pipe = {"PATH": SYSTEM_PATH}, subprocess.PIPE
    with subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if not (pid := process.stdout.readline().strip()):
            raise CannotSimulate(process.stderr.read().strip()[-300:] or "no namespaces of its own")
        try:
            yield int(pid)
        finally:
            process.kill()
            _wait_for_end(int(pid))


def _remove_control_groups() -> None:
    """Remove the control groups that podman leaves, unless another podman uses them."""
    for path in (
        *Path("/sys/fs/cgroup").glob("*/libpod_parent/conmon"),
        *Path("/sys/fs/cgroup").glob("*/libpod_parent"),
    ):
        with suppress(OSError):
            path.rmdir()


def _wait_for_end(pid: int) -> None:
    """Wait until the kernel has ended a process, and with it the namespaces of which it was the first."""
    deadline = time.monotonic() + STOP_SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
