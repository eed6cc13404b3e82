"""Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as other tools read them."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from errors import Failed


def proxy_for(parts: SplitResult, proxies: Mapping[str, str]) -> SplitResult | None:
    """The proxy for an address, None for none. Raises Failed for one that cannot be used."""
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    if _in_a_network(str(parts.hostname), proxies.get("no", "")):
        return None
    return _usable(address if "://" in address else f"http://{address}")


def way_to(url: str) -> str:
    """` through the proxy host:port`, for a message about an address; empty where there is none in between."""
    proxy = proxy_for(urlsplit(url), getproxies_environment())
    return f" through the proxy {proxy.hostname}:{proxy.port}" if proxy else ""


def login_of(proxy: SplitResult) -> dict[str, str]:
    """The header that lets us in, if the proxy's address has a name in it."""
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _usable(address: str) -> SplitResult:
    try:
        proxy = urlsplit(address)
        named = proxy.hostname, proxy.port  # raises for a port that is none
    except ValueError:
        named = None, None
    if named[0] is None:
        raise Failed(
            "the proxy's address is none", fix="write HTTP_PROXY and HTTPS_PROXY as http://host:port"
        )
    if proxy.scheme != "http":
        raise Failed(
            f"the proxy {proxy.scheme}://{proxy.hostname} is of a kind not known",
            fix="use an http:// proxy",
        )
    return proxy


def _in_a_network(host: str, listed: str) -> bool:
    """Whether NO_PROXY names a network (`10.0.0.0/8`) with the host's address in it, as curl reads it."""
    for one in listed.split(","):
        with contextlib.suppress(ValueError):
            if "/" in one and ipaddress.ip_address(host) in ipaddress.ip_network(one.strip(), strict=False):
                return True
    return False
