"""URLs and server text: what may be requested, and what may be shown."""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

Origin = tuple[str, str, int]


def origin(url: str) -> Origin:
    """Scheme, host and port: credentials are sent to their own origin only. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def is_http_url(text: str) -> bool:
    """Whether a request can be sent to this URL."""
    try:
        scheme, host, _ = origin(text)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host) and text.isprintable() and " " not in text


def basic_login(parts: SplitResult) -> str:
    """Return the login in a URL as the value of an authorization header, or an empty string."""
    if not parts.username:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def authorization(url: str, token: str = "") -> str:
    """Return the Authorization header for a token, else for the login in the URL, else an empty string."""
    return f"Bearer {token}" if token else basic_login(urlsplit(url))


def redirect_target(url: str, location: str) -> str:
    """Return the URL that a Location header leads to, or an empty string if it is not valid."""
    try:
        target = urljoin(url, quote(location.encode("latin-1"), safe="%/:?#[]@!$&'()*+,;=~"))
    except ValueError:
        return ""
    return target if location and is_http_url(target) else ""


def public(url: str) -> str:
    """Return a URL without its secrets: no login, no query (it may hold a signature)."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def printable(text: str) -> str:
    """Return server text as one printable line of at most 200 characters, without terminal control characters."""
    return "".join(char if char.isprintable() else " " for char in text.strip())[:200]
