"""Choose the proxy for a URL from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as other tools do."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

from errors import Failed

# Statuses of a refused CONNECT that another attempt does not change; 502 to 504 are about the host behind the proxy.
FORBIDDEN = frozenset({"400", "401", "403", "404", "405", "451", "501"})


def proxy_for(parts: SplitResult, proxies: Mapping[str, str] | None = None) -> SplitResult | None:
    """Return the proxy for a URL, or None. Raises Failed for a proxy that cannot be used.

    `proxies` are the environment's by default: proxy URLs by scheme, and the exceptions under `no`.
    """
    proxies = getproxies_environment() if proxies is None else proxies
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or _is_loopback(parts.hostname or "") or _is_excepted(parts, proxies.get("no", "")):
        return None
    return _parse(address if "://" in address else f"http://{address}")


def through_proxy(url: str) -> str:
    """Return ` through the proxy HOST:PORT` for a message about a URL, or an empty string."""
    proxy = proxy_for(urlsplit(url))
    return f" through the proxy {place(proxy)}" if proxy else ""


def place(proxy: SplitResult) -> str:
    """Return host and port of a proxy, without its login."""
    return f"{proxy.hostname}:{port(proxy)}"


def port(proxy: SplitResult) -> int:
    """Return the port that a proxy listens on."""
    return proxy.port or 3128


def login_refused(proxy: SplitResult, scheme: str) -> Failed:
    """Return the error for status 407, for URLs with or without TLS."""
    what = "refuses the login" if proxy.username else "requires a login"
    return Failed(
        f"the proxy {place(proxy)} {what}",
        why="it answered 407 (proxy authentication required)",
        fix=f"set {scheme.upper()}_PROXY=http://USER:PASSWORD@{place(proxy)}",
    )


def host_refused(proxy: SplitResult, host: str, status: str) -> Failed:
    """Return the error for a proxy that does not connect to a host. `host` has its port."""
    return Failed(
        f"the proxy {place(proxy)} does not allow {host}",
        why=f"it answered {status} to CONNECT {host}",
        fix=f"ask for {host} to be added to the allow list of the proxy, or add the host to NO_PROXY",
    )


def _parse(address: str) -> SplitResult:
    try:
        proxy = urlsplit(address)
        usable = bool(proxy.hostname) and proxy.port != 0  # `port` raises ValueError above 65535
    except ValueError:
        usable = False
    if not usable:
        raise Failed(
            "the proxy's address is not valid", fix="write HTTP_PROXY and HTTPS_PROXY as http://host:port"
        )
    if proxy.scheme != "http":
        raise Failed(
            f"the proxy {proxy.scheme}://{proxy.hostname} is of an unsupported kind",
            fix="use an http:// proxy",
        )
    return proxy


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, which a proxy cannot reach."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_excepted(url: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY has `*`, the host or a domain above it (also as `host:port`), or a network with its address."""
    names = (url.hostname or "", url.netloc.rpartition("@")[2].lower())
    for item in no_proxy.lower().replace(" ", "").split(","):
        domain = item.removeprefix("*").removeprefix(".")
        if item == "*" or _is_in_network(names[0], item):
            return True
        if domain and any(f".{name}".endswith(f".{domain}") for name in names):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    """Whether a network such as `10.0.0.0/8` contains the host's address, as in curl."""
    with contextlib.suppress(ValueError):
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    return False
