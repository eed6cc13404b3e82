"""Run the supervisor of a server in the background: as a systemd service of the user, else as a process of its own.

Neither needs root. The supervisor holds a lock file, so that a server has only one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from errors import Failed, Refused
from launch import atomic_write, paths, systemd
from launch.supervision.events import folder

# What a supervisor needs of this environment. A token is never written to a unit file.
_PASSED = re.compile(
    r"(SLIPWAY_|INVOKE_|HF_|DOCKER_|CONTAINER_|XDG_)\w+|PATH|HOME|[a-z_]+_proxy|[A-Z_]+_PROXY"
)
_SECRET = re.compile(r"TOKEN|KEY|PASSWORD|SECRET")
_START, _END = 20, 45  # seconds in which a supervisor must begin, and end

How = Literal["systemd", "process"]


@contextmanager
def only_supervisor(server: str) -> Iterator[None]:
    """Hold the lock of a server's supervisor. Raises Refused if another process holds it."""
    with _lock_file(server).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"'{server}' is supervised already", why=f"by process {pid(server)}", fix="invoke events"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def pid(server: str) -> int | None:
    """Return the process that supervises a server, or None."""
    try:
        with _lock_file(server).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        text = _lock_file(server).read_text().strip()
        return int(text) if text.isdigit() else None
    except OSError:
        return None


def start(server: str, command: tuple[str, ...], directory: Path) -> How:
    """Start the supervisor `command` in the background and wait until it holds its lock. Raises Failed."""
    log = paths.writable(folder()) / f"{server}.log"
    how: How = "systemd" if _has_systemd() else "process"
    if how == "systemd":
        unit = _unit_file(server)
        try:
            atomic_write.write_text(unit, unit_text(server, command, directory, os.environ))
        except OSError as error:
            raise Failed(f"cannot write '{unit}'", why=str(error.strerror)) from None
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", unit.name)
    else:
        _start_process(command, directory, log)
    deadline = time.monotonic() + _START
    while pid(server) is None:
        if time.monotonic() > deadline:
            where = f"journalctl --user -u {_unit_file(server).name}" if how == "systemd" else f"cat {log}"
            raise Failed(f"the supervisor of '{server}' did not start", fix=where)
        time.sleep(0.1)
    return how


def end(server: str) -> bool:
    """End the supervisor of a server and return whether there was one. A supervisor does not end itself."""
    process = pid(server)
    if process == os.getpid():
        return False
    if (unit := _unit_file(server)).exists():
        _systemctl("disable", "--now", unit.name)
        unit.unlink(missing_ok=True)
        _systemctl("daemon-reload")
    if process is None or pid(server) is None:
        return process is not None
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _END
    while pid(server) == process:
        if time.monotonic() > deadline:
            fix = f"kill -9 {process}"
            raise Failed(f"the supervisor of '{server}' did not end in {_END} s", fix=fix)
        time.sleep(0.1)
    return True


def unit_text(server: str, command: tuple[str, ...], directory: Path, environ: Mapping[str, str]) -> str:
    """Return the systemd unit of a supervisor."""
    passed = {name: value for name, value in environ.items() if _is_passed(name, value)}
    lines = [
        "[Unit]",
        f"Description=Supervise the Slipway server {server}",
        "",
        "[Service]",
        f"WorkingDirectory={systemd.path(str(directory))}",
        *(f"Environment={systemd.word(f'{name}={value}')}" for name, value in sorted(passed.items())),
        f"ExecStart={' '.join(map(systemd.word, command))}",
        "Restart=on-failure",
        "RestartSec=10",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _is_passed(name: str, value: str) -> bool:
    return bool(_PASSED.fullmatch(name)) and not _SECRET.search(name) and value.isprintable()


def _start_process(command: tuple[str, ...], directory: Path, log: Path) -> None:
    with log.open("ab") as output:
        subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # the end of the terminal does not end it
        )


def _lock_file(server: str) -> Path:
    return paths.writable(folder()) / f"{server}.pid"


def _unit_file(server: str) -> Path:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return config / "systemd" / "user" / f"slipway-supervise-{server}.service"


def _has_systemd() -> bool:
    """Whether this user has a systemd that runs services, which also start after a login."""
    if not shutil.which("systemctl"):
        return False
    state = _systemctl("is-system-running")
    return state in ("running", "degraded", "starting")


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
