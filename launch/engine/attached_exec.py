"""Run a command in a container that ends with its client: after Ctrl-C, and if the client is killed.

An engine lets a command of `exec` continue when its client is gone. The command therefore runs below a shell whose
standard input is the connection to the client, and the shell ends the command when its input ends.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from launch.engine.client import execute
from launch.engine.log_stream import split_lines

if TYPE_CHECKING:
    from socket import SocketIO

    from docker import DockerClient
    from docker.models.containers import Container

# $1 is the file for the process id, the rest is the command. A shell without job control gives background processes
# /dev/null as their input and lets them ignore SIGINT: hence descriptor 3 and SIGTERM. The shell waits for both,
# because the first process of a container, vLLM, does not reap orphans.
_SHELL = """
pid_file=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
command=$!
echo $command > "$pid_file"
(while read -r _ <&3; do :; done; kill $command) >/dev/null 2>&1 &
watcher=$!
wait $command
status=$?
kill $watcher 2>/dev/null
wait $watcher 2>/dev/null
exit $status
"""


def attached(pid_file: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs another one until its own standard input ends."""
    return ["sh", "-c", _SHELL, "attached", pid_file, *argv]


def execute_attached(
    client: DockerClient,
    container: Container,
    argv: list[str],
    show: Callable[[str], None],
    pid_file: str,
    started: Callable[[int], None] = lambda pid: None,
) -> tuple[int, str]:
    """Run a command and return its exit status and output; `show` gets each line as it arrives.

    `started` gets the process id of its shell, as the host counts, when the first line arrives: an engine does not know
    it earlier. The command is ended if this raises.
    """
    command = client.api.exec_create(container.id, attached(pid_file, argv), stdin=True)["Id"]
    connection = cast("SocketIO", client.api.exec_start(command, socket=True))
    lines: list[str] = []
    try:
        for line in split_lines(_output(connection)):
            if not lines:
                started(int(client.api.exec_inspect(command).get("Pid") or 0))
            lines.append(line)
            show(line)
    except BaseException:
        _close(connection)
        # An engine that does not pass the end of the input on, and one that does it late, are asked directly.
        with suppress(Exception):
            execute(client, container, ["sh", "-c", f"kill $(cat {pid_file})"])
        raise
    _close(connection)
    return int(client.api.exec_inspect(command)["ExitCode"] or 0), "\n".join(lines)


def _output(connection: SocketIO) -> Iterator[bytes]:
    """Yield what the command prints on both streams."""
    from docker.utils import socket as frames

    _socket_of(connection).settimeout(None)  # a command may print nothing for longer than a request may take
    read: Callable[..., Iterator[tuple[int, bytes]]] = frames.frames_iter
    for _, data in read(connection, tty=False):
        yield data


def _close(connection: SocketIO) -> None:
    with suppress(OSError):
        _socket_of(connection).shutdown(socket.SHUT_RDWR)
    connection.close()


def _socket_of(connection: SocketIO) -> socket.socket:
    """Return the socket below the file that docker's SDK returns; over TLS or SSH it returns the socket itself."""
    return cast("socket.socket", getattr(connection, "_sock", connection))
