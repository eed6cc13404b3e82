"""An engine where there is none: install docker.io, start dockerd in a session of its own, stop it again.

Only for root on a machine with apt; everybody else gets the remedy as a message. What was started here is
known by its pid file, so that `make engine-stop` ends that daemon and never somebody else's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from errors import Failed, SlipwayError

STATE = Path("/var/lib/slipway")
PID = STATE / "dockerd.pid"
LOG = STATE / "dockerd.log"
# package -> the command it brings. On Debian 12 docker.io has a client that does BuildKit; from 13 on (and on
# Ubuntu) client and BuildKit are packages of their own.
NEEDED = {"docker.io": "dockerd", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
WHERE_OFFERED = ("docker-cli", "docker-buildx")
LEFTOVERS = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))
_START_SECONDS = 40
_STOP_SECONDS = 60


def remedy() -> str:
    """Why no engine can be made here, as the command that would help; empty where one can."""
    if os.environ.get("DOCKER_HOST"):
        return "start the engine that DOCKER_HOST names, or unset it"
    if os.geteuid() != 0:
        return "install Docker or podman and let this user reach its socket, or run as root"
    if not shutil.which("apt-get"):
        return "install Docker or podman (there is no apt-get here to do it with)"
    return ""


def ensure() -> None:
    """A reachable engine, installed and started if need be. Raises Failed with the remedy if it cannot be."""
    from launch.engine.client import connect

    try:
        connect().close()
        return
    except SlipwayError as error:
        if remedy():
            raise Failed("no container engine", why=error.why or error.what, fix=remedy()) from None
    install()
    start()


def install() -> None:
    """The packages that are missing, with apt."""
    missing = [
        package for package, command in NEEDED.items() if not shutil.which(command, path=_system_path())
    ]
    if not missing:
        return
    _say(f"no container engine: installing {' '.join(missing)} with apt ...")
    _apt("update")
    wanted = [*missing, *(package for package in WHERE_OFFERED if _offered(package))]
    _apt("install", "-y", "--no-install-recommends", *wanted)


def _apt(*words: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(["apt-get", "-qq", *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip()[-500:]
        raise Failed(f"apt-get {words[0]} failed", why=why, fix="look at the package sources and the network")


def _offered(package: str) -> bool:
    argv, env = ["apt-cache", "policy", package], {**os.environ, "LC_ALL": "C"}
    said = subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stdout
    return "Candidate:" in said and "Candidate: (none)" not in said


def start() -> None:
    """dockerd in its own session, so that it outlives this command; waits until it answers."""
    STATE.mkdir(parents=True, exist_ok=True)
    clear_leftovers()
    _say(f"starting dockerd in a session of its own (log: {LOG}; end it with `make engine-stop`) ...")
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
    _wait(daemon)


def _wait(daemon: subprocess.Popen[bytes]) -> None:
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
    raise Failed("dockerd did not come up", why=tail, fix=f"read {LOG}")


def clear_leftovers() -> None:
    """A killed dockerd leaves its pid files, and the next one refuses to start until they are gone."""
    for path in LEFTOVERS:
        if path.exists() and not _runs(int(path.read_text() or 0)):
            path.unlink()


def _runs(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def stop() -> None:
    """End the dockerd that `start` began, and wait for it. Running containers stop with it. Raises Failed."""
    pid = int(PID.read_text()) if PID.exists() else 0
    if _name(pid) != "dockerd":
        PID.unlink(missing_ok=True)
        _say("no dockerd of ours is running")
        return
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise Failed(f"dockerd (pid {pid}) is root's", fix="sudo make engine-stop") from None
    deadline = time.monotonic() + _STOP_SECONDS
    while _name(pid) == "dockerd" and not _is_dead(pid):
        if time.monotonic() > deadline:
            raise Failed(f"dockerd (pid {pid}) does not end", fix=f"read {LOG}")
        time.sleep(0.1)
    PID.unlink(missing_ok=True)
    _say(f"dockerd (pid {pid}) ended")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_dead(pid: int) -> bool:
    """Ended, though nobody has asked for its exit status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _system_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        {"ensure": ensure, "stop": stop}[sys.argv[1]]()
    except SlipwayError as error:
        sys.exit(str(error))
