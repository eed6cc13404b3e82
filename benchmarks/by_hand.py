"""Start a server without Slipway: the docker command of a plan, a curl loop on /health, one question."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable

from benchmarks.throttled import run, until

MODEL = "slipway/MiniMax-M2-tiny"
QUESTION = {"messages": [{"role": "user", "content": "What is a slipway?"}], "max_tokens": 8}


def docker_words(output: str) -> list[str]:
    """Return the `docker run` in the output of `invoke plan --format docker`."""
    words = [word for word in shlex.split(output.replace("\\\n", " ")) if word != "\n"]
    return words[words.index("docker") :]


def first_answer(start: Callable[[], object], port: int, model: str = MODEL) -> None:
    """Start a server, wait up to five minutes until it is healthy on loopback, then ask it one question."""
    start()
    url = f"http://127.0.0.1:{port}"
    until(["curl", "-sf", f"{url}/health"], seconds=300)
    header = ("-H", "Content-Type: application/json")
    run("curl", "-sf", *header, "-d", json.dumps({**QUESTION, "model": model}), f"{url}/v1/chat/completions")


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.monotonic()
    call()
    return time.monotonic() - start
