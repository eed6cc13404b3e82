from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from errors import Failed
from launch.http.proxies import place, proxy_for

PROXIES = {"http": "proxy:1", "https": "http://proxy:2", "all": "http://proxy:3"}


def chosen(url: str, **changed: str) -> str:
    proxy = proxy_for(urlsplit(url), {**PROXIES, **changed})
    return place(proxy) if proxy else ""


def test_proxy_for_is_chosen_by_scheme() -> None:
    assert chosen("http://hub") == "proxy:1"
    assert chosen("https://hub") == "proxy:2"
    assert chosen("https://hub", https="") == "proxy:3"
    assert chosen("http://hub", http="http://proxy") == "proxy:3128"


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "http://hub"),
        ("hub.example", "http://hub.example"),
        ("hub.example", "http://HUB.example:81/x"),
        ("example", "http://hub.example"),
        (".example", "http://hub.example"),
        ("*.example", "http://hub.example"),
        ("a, hub.example:81", "http://hub.example:81"),
        ("10.1.2.3", "http://10.1.2.3"),
        ("10.0.0.0/8", "http://10.1.2.3:81"),
        ("fd00::/8", "http://[fd00::1]/"),
    ],
)
def test_proxy_for_returns_none_for_an_exception_in_no_proxy(no_proxy: str, url: str) -> None:
    assert chosen(url, no=no_proxy) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "http://hub.example"),
        ("hub.example", "http://thehub.example"),
        ("hub.example:82", "http://hub.example:81"),
        ("10.0.0.0/8", "http://11.1.2.3"),
        ("10.0.0.0/8", "http://hub.example"),
        ("nonsense/8,,", "http://hub.example"),
    ],
)
def test_proxy_for_ignores_other_exceptions(no_proxy: str, url: str) -> None:
    assert chosen(url, no=no_proxy) == "proxy:1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "api.localhost"])
def test_proxy_for_returns_none_for_this_host(host: str) -> None:
    assert chosen(f"http://{host}:8000") == ""


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("socks5://proxy:1", "of an unsupported kind"),
        ("http://[bad", "is not valid"),
        ("http://h:99999", "is not valid"),
        ("http://", "is not valid"),
    ],
)
def test_proxy_for_raises_for_an_unusable_proxy(proxy: str, message: str) -> None:
    with pytest.raises(Failed, match=message):
        chosen("http://hub", http=proxy)
