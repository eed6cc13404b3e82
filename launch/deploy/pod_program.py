"""Run a program in a pod, through the API server. It ends with its caller, as a program in a container of this host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from errors import Failed
from launch.deploy import websocket
from launch.deploy.client import Cluster
from launch.engine.attached_exec import attached
from launch.engine.log_stream import split_lines

STDOUT, STDERR, STATUS = 1, 2, 3  # channels
CONTAINER = "vllm"


def run(
    cluster: Cluster, pod: str, argv: Sequence[str], show: Callable[[str], None] = lambda line: None
) -> tuple[int, str]:
    """Return the exit status and the output of a program; `show` gets each line as it arrives. Raises Failed."""
    return _run(cluster, pod, argv, show, stdin=False)


def run_attached(
    cluster: Cluster, pod: str, argv: Sequence[str], show: Callable[[str], None], pid_file: str
) -> tuple[int, str]:
    """Run a program that ends if the connection ends. `pid_file` is in the pod."""
    return _run(cluster, pod, attached(pid_file, argv), show, stdin=True)


def _run(
    cluster: Cluster, pod: str, argv: Sequence[str], show: Callable[[str], None], stdin: bool
) -> tuple[int, str]:
    streams = [("container", CONTAINER), ("stdout", "true"), ("stderr", "true")]
    query = [*(("command", word) for word in argv), *streams, *([("stdin", "true")] if stdin else [])]
    output, lines = _Output(), []
    try:
        with websocket.connected(cluster, f"{cluster.path('Pod', pod)}/exec", query) as opened:
            for line in split_lines(output.read(websocket.messages(opened))):
                lines.append(line)
                show(line)
    except websocket.ConnectionEnded as error:
        raise websocket.unreachable(cluster, error) from error
    return _exit_status(pod, output.status), "\n".join(lines)


class _Output:
    """What a program prints on both streams, and afterwards the status of its end."""

    def __init__(self) -> None:
        self.status = b""

    def read(self, messages: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        """Yield what it prints."""
        for channel, data in messages:
            if channel in (STDOUT, STDERR):
                yield data
            elif channel == STATUS:
                self.status += data


def _exit_status(pod: str, text: bytes) -> int:
    """Return the exit status in the last message of a program. Raises Failed if it did not run to its end."""
    try:
        status = json.loads(text)
    except ValueError:
        raise Failed(
            f"the program in the pod {pod} ended without a status", fix="invoke deploy --status"
        ) from None
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    why = str(status.get("message", ""))[:300]
    raise Failed(f"the program in the pod {pod} did not run", why=why, fix="invoke deploy --status")
