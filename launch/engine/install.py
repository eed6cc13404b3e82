"""Install docker.io with apt and run dockerd in a session of its own, on a host without a container engine.

Needs root and apt; otherwise the error names the command to run. A PID file marks the dockerd that was started here,
so `make engine-stop` never stops another one.

`make engine-stop` runs this file with the system's python3, before any dependency is installed: import only the
standard library and `errors` at the top.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from errors import Failed, SlipwayError

STATE = Path("/var/lib/slipway")
PID = STATE / "dockerd.pid"
LOG = STATE / "dockerd.log"
# Package -> the command it provides. On Debian 12 docker.io includes a client with BuildKit; from Debian 13 on, and on
# Ubuntu, the client and BuildKit are separate packages.
NEEDED = {"docker.io": "dockerd", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
IF_AVAILABLE = ("docker-cli", "docker-buildx")
STALE_PIDS = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))
_START_SECONDS = 40
_STOP_SECONDS = 60
Report = Callable[[str], None]


def report_to_stderr(line: str) -> None:
    """Print a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def obstacle() -> str:
    """Return the fix if no engine can be installed here, else ""."""
    if os.environ.get("DOCKER_HOST"):
        return "start the engine that DOCKER_HOST names, or unset DOCKER_HOST"
    if os.geteuid() != 0:
        return "install Docker or podman and give this user access to its socket, or run as root"
    if not shutil.which("apt-get"):
        return "install Docker or podman (this host has no apt-get)"
    return ""


def ensure(report: Report = report_to_stderr) -> None:
    """Install and start an engine unless one answers. Raises Failed with the fix if that is impossible."""
    from launch.engine.client import connect

    try:
        connect().close()
        return
    except SlipwayError as error:
        if fix := obstacle():
            raise Failed("no container engine", why=error.why or error.what, fix=fix) from None
    install(report)
    start(report)


def install(report: Report) -> None:
    """Install the missing packages with apt. Raises Failed."""
    path = _system_path()
    missing = [package for package, command in NEEDED.items() if not shutil.which(command, path=path)]
    if not missing:
        return
    report(f"no container engine: installing {' '.join(missing)} with apt ...")
    _apt("update")
    optional = [package for package in IF_AVAILABLE if _is_available(package)]
    _apt("install", "-y", "--no-install-recommends", *missing, *optional)


def _apt(*arguments: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    argv = ["apt-get", "-qq", *arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        why, fix = done.stderr.strip()[-500:], "check the package sources and the network"
        raise Failed(f"apt-get {arguments[0]} failed", why=why, fix=fix)


def _is_available(package: str) -> bool:
    argv, env = ["apt-cache", "policy", package], {**os.environ, "LC_ALL": "C"}
    output = subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stdout
    return "Candidate:" in output and "Candidate: (none)" not in output


def start(report: Report) -> None:
    """Start dockerd in a session of its own, so that it outlives this command; wait until it answers."""
    STATE.mkdir(parents=True, exist_ok=True)
    remove_stale_pids()
    report(f"starting dockerd in a session of its own (log: {LOG}; stop it with `make engine-stop`) ...")
    with LOG.open("ab") as log:
        daemon = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PATH": _system_path()},
        )
    PID.write_text(str(daemon.pid))
    _wait_for(daemon)


def _wait_for(daemon: subprocess.Popen[bytes]) -> None:
    from launch.engine.client import connect

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            connect().close()
            return
        except SlipwayError:
            time.sleep(0.2)
    daemon.terminate()
    tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-5:])
    raise Failed("dockerd did not start", why=tail, fix=f"read {LOG}")


def remove_stale_pids() -> None:
    """Remove the PID files of a killed dockerd: the next one refuses to start while they exist."""
    for path in STALE_PIDS:
        if path.exists() and not _exists(int(path.read_text() or 0)):
            path.unlink()


def _exists(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def stop(report: Report = report_to_stderr) -> None:
    """Stop the dockerd that `start` started, with its containers, and wait for it. Raises Failed."""
    pid = int(PID.read_text()) if PID.exists() else 0
    if _name(pid) != "dockerd":
        PID.unlink(missing_ok=True)
        report("no dockerd that Slipway started is running")
        return
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise Failed(f"dockerd (pid {pid}) belongs to root", fix="sudo make engine-stop") from None
    deadline = time.monotonic() + _STOP_SECONDS
    while _name(pid) == "dockerd" and not _is_zombie(pid):
        if time.monotonic() > deadline:
            raise Failed(f"dockerd (pid {pid}) did not stop in {_STOP_SECONDS} s", fix=f"read {LOG}")
        time.sleep(0.1)
    PID.unlink(missing_ok=True)
    report(f"dockerd (pid {pid}) stopped")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_zombie(pid: int) -> bool:
    """Return whether the process has exited, although its parent has not read its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _system_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


if __name__ == "__main__":
    try:
        {"ensure": ensure, "stop": stop}[sys.argv[1]]()
    except SlipwayError as error:
        sys.exit(str(error))
