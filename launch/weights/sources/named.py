"""The sources that `--source` names: hub, modelscope, or what `--from` accepts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from errors import Refused
from launch.http.retry import RetryPolicy
from launch.http.url import is_http_url, public
from launch.weights.source import Source
from launch.weights.sources import modelscope
from launch.weights.sources.hub import Hub, endpoint_of
from launch.weights.sources.offline import source_of
from launch.weights.sources.several import SeveralSources

HUB, MODELSCOPE = "hub", "modelscope"
TOKEN = "SLIPWAY_SOURCE_TOKEN"
# Another source is available, so a silent one is left sooner.
POLICY = RetryPolicy(connect_timeout=5.0, read_timeout=10.0)
LISTING = replace(POLICY, attempts=3)


def named_sources(texts: Sequence[str], model: str, endpoint: str | None, digest: str = "") -> Source:
    """Return one source, or several as one. Raises Refused for an unknown name, and for one that is given twice.

    `endpoint` is that of the Hub; `digest` is the one that the list of files must have.
    """
    for text in texts:
        if texts.count(text) > 1:
            raise Refused(f"--source '{text}' is given twice", fix="name each source once")
    sources = {_name(text): _source(text, model, endpoint) for text in texts}
    return next(iter(sources.values())) if len(texts) == 1 else SeveralSources(sources, digest)


def _name(text: str) -> str:
    """Return a source as messages name it, without the login and the query of a URL."""
    return public(text) if is_http_url(text) else text


def _source(text: str, model: str, endpoint: str | None) -> Source:
    if text == HUB:
        return Hub(model, endpoint_of(endpoint), LISTING)
    if text == MODELSCOPE:
        return modelscope.ModelScope(model, modelscope.endpoint_of(), LISTING)
    source = source_of(text, model, "--source")
    # The token of the Hub is for the Hub.
    return (
        replace(source, policy=LISTING, token=os.environ.get(TOKEN, ""))
        if isinstance(source, Hub)
        else source
    )
