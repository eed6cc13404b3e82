"""HTTP connections of the standard library, with what it does not know: hints before an answer."""

from __future__ import annotations

import http.client
from typing import Any

MOST_HINTS = 20  # answers of status 1xx before the real one


class Response(http.client.HTTPResponse):
    """An answer without the hints that may come before it (103 Early Hints); Python itself skips 100 alone."""

    def _read_status(self) -> Any:
        for _ in range(MOST_HINTS):
            found = super()._read_status()  # type: ignore[misc]
            if not 100 <= found[1] < 200 or found[1] == 101:
                return found
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("hints without end")


class Plain(http.client.HTTPConnection):
    """Over HTTP."""

    response_class = Response


class Secure(http.client.HTTPSConnection):
    """Over TLS."""

    response_class = Response
