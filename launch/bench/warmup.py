"""Warm a server up with requests of the length of a run, but with other prompts."""

from __future__ import annotations

import json
import secrets
from functools import partial
from threading import Semaphore

from errors import Failed
from launch.bench.presets import warmup_requests
from launch.bench.record import Load
from launch.deadline import start
from launch.http.client import NoResponse, request

_TOKENS = range(32, 256)  # ids that every vocabulary has
TIMEOUT = 1800.0  # seconds for one request
_DEFAULT_LENGTH = 128  # tokens, if the load names no length


def warm_up(url: str, model: str, load: Load, key: str = "") -> int:
    """Send the requests, as many at once as the run will, and return their number. Raises Failed."""
    count = warmup_requests(load)
    slots = Semaphore(load.concurrency or count)
    # Not a ThreadPoolExecutor: at its end, after Ctrl-C too, the program would wait for its requests.
    futures = [start(partial(_send, url, _body(model, load), key, slots)) for _ in range(count)]
    for future in futures:
        future.result()
    return count


def _body(model: str, load: Load) -> bytes:
    """Return a completion request with random tokens as its prompt."""
    length = (load.input_len or _DEFAULT_LENGTH) + (load.prefix_len or 0)
    prompt = [secrets.choice(_TOKENS) for _ in range(length)]
    tokens = load.output_len or _DEFAULT_LENGTH
    return json.dumps(
        {"model": model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0}
    ).encode()


def _send(url: str, body: bytes, key: str, slots: Semaphore) -> None:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    with slots:
        try:
            response = request(
                "POST", f"{url}/v1/completions", headers=headers, body=body, timeout=TIMEOUT, direct=True
            )
        except NoResponse as error:
            raise Failed(f"{url} does not answer", why=error.why or error.what, fix="invoke ps") from None
        if response.status != 200:
            raise _rejected(response.status, response.summary())
        response.read()


def _rejected(status: int, summary: str) -> Failed:
    return Failed(
        f"the server rejected a request of this load (HTTP {status})",
        why=summary,
        fix="invoke bench --scale small",
    )
