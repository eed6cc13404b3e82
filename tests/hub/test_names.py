"""Names that cannot be made: found before the first byte, and no proof is lost over them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import serve_folder
from launch.weights import fetch as weights_fetch
from launch.weights import manifest
from launch.weights.cache import Place

from .conftest import MODEL


def test_a_cache_too_deep_for_the_names_is_found_before_the_first_byte(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    deep = cache.joinpath(*["x" * 200] * 19, "x" * 30)
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="too long"):
            fetch(hub.url, cache=deep)
        assert not [request for request in hub.requests if "resolve" in request.target]


def test_a_link_that_cannot_be_made_loses_no_proof(
    folder: Path,
    cache: Path,
    commit: str,
    fetch: Callable[..., weights.Snapshot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*words: object) -> None:
        raise OSError(errno.ENAMETOOLONG, "File name too long")

    monkeypatch.setattr(weights_fetch, "link", failing)
    with serve_folder(folder) as hub, pytest.raises(SlipwayError):
        fetch(hub.url)
    kept = manifest.load(Place(cache, MODEL).manifest(commit))
    assert kept and all(entry.verified for entry in kept.entries)
