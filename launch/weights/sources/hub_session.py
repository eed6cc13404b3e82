"""huggingface_hub as we let it talk: our certificates and time-outs, quiet, with limits to what it reads."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from errors import Failed
from launch.http.connection import tls_context
from launch.http.retry import RetryPolicy, Transient

LARGEST_ANSWER = 16 << 20  # bytes of JSON; a page of a listing has 1000 entries of about 300


@contextlib.contextmanager
def session(patience: RetryPolicy) -> Iterator[None]:
    """huggingface_hub with our certificates and time-outs, quiet, and with a limit to what it will read."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    limit = httpx2.Timeout(patience.silence, connect=patience.connect)

    def client() -> httpx2.Client:
        return httpx2.Client(
            verify=tls_context(),
            follow_redirects=True,
            timeout=limit,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [timed], "response": [_bounded]},
        )

    def timed(request: Any) -> None:
        request.extensions["timeout"] = limit.as_dict()  # model_info asks for none at all

    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.ERROR)
    set_client_factory(client)
    try:
        yield
    finally:
        set_client_factory(default_client_factory)
        log.setLevel(before)


def _bounded(response: Any) -> None:
    """Stop reading an answer that no Hub gives; called before its body is read."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Transient(
            "it sent its answer compressed, which nobody asked for"
        )  # a few KiB can hold many GiB
    stream = response.stream

    class Bounded(type(stream)):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def __iter__(self) -> Iterator[bytes]:
            total = 0
            for chunk in stream:
                total += len(chunk)
                if total > LARGEST_ANSWER:
                    raise Failed(
                        f"{response.url.host} sends more than {LARGEST_ANSWER >> 20} MiB of metadata",
                        why="no model's listing is that long; nothing was written",
                        fix="check HF_ENDPOINT",
                    )
                yield chunk

        def close(self) -> None:
            stream.close()

    response.stream = Bounded()
