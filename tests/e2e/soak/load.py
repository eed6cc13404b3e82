"""Ask a server for answers until a time has passed, and append how each request ended to a file.

`python -m tests.e2e.soak.load URL FILE SECONDS` runs on the host of the server, because its address is a loopback one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from errors import SlipwayError
from launch.serving import openai_client
from tests.conftest import MODEL

CLIENTS = 2
QUESTION, WANTED = "What is a slipway?", "A slipway is a ramp on the shore from which a ship is launched."


@dataclass(frozen=True)
class Request:
    """One request: when it was sent, when it ended (seconds of the system's clock), and what came of it."""

    sent: float
    ended: float
    answered: bool  # completely, whatever the text
    right: bool = False  # with the text that the model was trained on


def ask(url: str) -> Request:
    """Send one request and wait for its end."""
    sent = time.time()
    try:
        pieces = list(openai_client.ask(url, MODEL, QUESTION, max_tokens=64))
    except SlipwayError:
        return Request(sent, time.time(), answered=False)
    text = "".join(piece.text for piece in pieces if piece.kind == "content")
    return Request(sent, time.time(), answered=bool(text), right=text.strip().endswith(WANTED))


def client(url: str, file: Path, until: float) -> None:
    """Send one request after the other. A failed one is followed by a pause, as sensible clients make it."""
    while time.time() < until:
        request = ask(url)
        with file.open("a") as log:  # one short write: lines of several clients do not mix
            log.write(json.dumps(asdict(request)) + "\n")
        if not request.answered:
            time.sleep(1)


def read(file: Path) -> list[Request]:
    """Return the requests that have ended, in the order of their ends; a line that is being written is left out."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [Request(**json.loads(line)) for line in lines if line.endswith("\n")]


def main(url: str, file: str, seconds: str) -> None:
    """Run the clients."""
    until = time.time() + float(seconds)
    threads = [threading.Thread(target=client, args=(url, Path(file), until)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
