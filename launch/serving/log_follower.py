"""Follow the log of a container until the container exits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from launch.engine.log_stream import split_lines

if TYPE_CHECKING:
    from docker.models.containers import Container

_MAX_QUEUE = 10_000  # lines; a log of 1 GB must not accumulate in memory
_MAX_STREAMS = 100  # of one log: an engine may end a stream early


def follow_log(container: Container, since: int = 0) -> Iterator[str]:
    """Yield log lines as they come, and "" for every second without one. `since` is in Unix seconds."""
    lines: queue.Queue[str | None] = queue.Queue(maxsize=_MAX_QUEUE)
    threading.Thread(target=_read_log, args=(container, since, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def _read_log(container: Container, since: int, lines: queue.Queue[str | None]) -> None:
    """Put the lines of the log into the queue, then None. A stream that ends early is continued."""
    try:
        for _ in range(_MAX_STREAMS):
            now = int(time.time())
            for line in split_lines(container.logs(stream=True, follow=True, since=since or None)):
                lines.put(line)
            if not is_running(container):
                break
            since = now
    except engine_errors():
        pass  # the waiting thread queries the engine next, and reports the error
    finally:
        lines.put(None)


def is_running(container: Container) -> bool:
    """Whether the engine reports the container as running."""
    container.reload()
    return container.status == "running"


def engine_errors() -> tuple[type[Exception], ...]:
    """Return what Docker's SDK raises if the engine or the container is gone."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return DockerException, RequestException
