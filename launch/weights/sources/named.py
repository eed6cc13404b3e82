"""The sources that `--source` names: hub, modelscope, or what `--from` accepts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Named:
    """The names of sources as the user gave them with `option`.

    `own_token`: a URL gets the user's token for the Hub if SLIPWAY_SOURCE_TOKEN is not set.
    """

    texts: Sequence[str]
    option: str = "--source"
    own_token: bool = False

    def sources(self, model: str, endpoint: str | None, digest: str = "") -> Source:
        """Return one source, or several as one. Raises Refused for an unknown name, and for one that is given twice.

        `endpoint` is that of the Hub; `digest` is the one that the list of files must have.
        """
        for text in self.texts:
            if self.texts.count(text) > 1:
                raise Refused(f"{self.option} '{text}' is given twice", fix="name each source once")
        if len(self.texts) == 1:
            return self._source(self.texts[0], model, endpoint, RetryPolicy(attempts=6))
        sources = {_name(text): self._source(text, model, endpoint, LISTING) for text in self.texts}
        return SeveralSources(sources, digest)

    def _source(self, text: str, model: str, endpoint: str | None, policy: RetryPolicy) -> Source:
        if text == HUB:
            return Hub(model, endpoint_of(endpoint), policy)
        if text == MODELSCOPE:
            return modelscope.ModelScope(model, modelscope.endpoint_of(), policy)
        source = source_of(text, model, self.option)
        if not isinstance(source, Hub):
            return source
        token = os.environ.get(TOKEN)
        return replace(source, policy=policy, token=token if token or self.own_token else "")


def _name(text: str) -> str:
    """Return a source as messages name it, without the login and the query of a URL."""
    return public(text) if is_http_url(text) else text
