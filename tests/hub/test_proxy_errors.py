"""Proxies that a fetch cannot use; tests/http has those that it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import SlipwayError
from launch.weights.snapshot import Snapshot


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://127.0.0.1:9", "through the proxy 127.0.0.1:9"),
        ("socks5://127.0.0.1:9", "of an unsupported kind"),
        ("gopher://127.0.0.1:9", "of an unsupported kind"),
        ("http://[bad", "address is not valid"),
        ("http://h:99999", "address is not valid"),
    ],
)
def test_fetch_names_an_unusable_proxy(
    proxy: str, message: str, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(SlipwayError, match=message):
        fetch("http://hub.invalid")
