"""A model on a Hub: resolve its revision, check access, list its files. Metadata goes through huggingface_hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urljoin

from errors import Failed, Refused
from launch.http.compressed import CompressedBody
from launch.http.pool import ConnectionPool
from launch.http.proxies import through_proxy
from launch.http.ranges import Body
from launch.http.retry import Result, RetryPolicy, TransientError, call_with_retries
from launch.http.url import is_http_url, origin, printable, public
from launch.weights.cache import COMMIT
from launch.weights.manifest import DISTRUST, MOST_FILES, Entry, Manifest, checked
from launch.weights.sources.hub_errors import require_listing, transient
from launch.weights.sources.hub_files import HubFiles

MOST_PAGES = 2000


@dataclass
class Hub:
    """A model on a Hub, as a source of files (`source.Source`). `token` None is the user's own for the Hub."""

    model: str
    endpoint: str
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    token: str | None = field(default=None, repr=False)
    _files: HubFiles | None = field(default=None, repr=False)

    def manifest(self, revision: str) -> Manifest:
        """Resolve a revision, check the access, and list the files with sizes and hashes. Raises Failed."""
        from launch.weights.sources.hub_session import session

        token = stored_token() if self.token is None else self.token
        with session(self.policy):
            manifest = self._resolve(revision, token)
        self._files = HubFiles(self.endpoint, self.model, manifest.commit, token)
        return manifest

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Body | CompressedBody:
        """Read bytes `first` to `end` of a file."""
        assert self._files is not None, "`manifest` is called first"
        return self._files.open(entry, first, end, pool)

    def _resolve(self, revision: str, token: str) -> Manifest:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=token or False)
        info = self._retry(lambda: api.model_info(self.model, revision=revision))
        if getattr(info, "gated", False):
            self._retry(lambda: api.auth_check(self.model))
        commit = str(info.sha or "")
        checked(Manifest(self.model, revision, commit, ()))  # before the commit becomes part of a URL
        if COMMIT.fullmatch(revision) and commit != revision:
            why = f"{public(self.endpoint)} answers with commit {commit}"
            raise Failed(f"{self.model} at {revision} is not what the server has", why=why, fix=DISTRUST)
        entries = self._list(commit, token)
        return checked(Manifest(self.model, revision, commit, entries, _licence(info), public(self.endpoint)))

    def _list(self, commit: str, token: str) -> tuple[Entry, ...]:
        """Return every file of a commit, page by page, up to the limit that `checked` explains."""
        url = f"{self.endpoint}/api/models/{self.model}/tree/{commit}?recursive=true&expand=false"
        entries: list[Entry] = []
        visited: set[str] = set()
        while url and len(visited) < MOST_PAGES and url not in visited:
            visited.add(url)
            page, url = self._retry(partial(_read_page, url, token, self.endpoint), url, listing=True)
            entries += page
            if not url or len(entries) > MOST_FILES:
                return tuple(entries)
        why = f"its pages form a circle, or there are more than {MOST_PAGES}"
        fix = "try again later, or another mirror"
        raise Failed(f"{self.model}: the listing does not end", why=why, fix=fix)

    def _retry(self, function: Callable[[], Result], url: str = "", listing: bool = False) -> Result:
        """Call a function of huggingface_hub with retries. Raises Failed when the policy ends them.

        `url` is what it requests, if that may be on another host; `listing` says that it is a list of files.
        """
        at = self.endpoint if not url or origin(url) == origin(self.endpoint) else url
        where = public(at) + through_proxy(at)  # raises Failed for an unusable proxy

        def explained(error: Exception) -> TransientError:
            if listing:
                require_listing(error, self.model, where)
            return transient(error, self.model)

        try:
            return call_with_retries(self.policy, function, explained, where)
        except TransientError as error:
            named = f" {public(self.endpoint)} named it for the next page of the listing;"
            other = "" if at == self.endpoint else named
            raise Failed(
                f"{where} does not answer for {self.model}",
                why=error.reason,
                fix=f"check{other} HF_ENDPOINT, proxy and network; models in the cache can be served without them",
            ) from error


def endpoint_of(url: str | None = None) -> str:
    """Return the Hub's URL: the one given, HF_ENDPOINT, or huggingface_hub's default. Raises Refused."""
    from huggingface_hub import constants

    endpoint = (url or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).strip().rstrip("/")
    fix = "write it as http://host or https://host"
    if not is_http_url(endpoint):
        raise Refused(f"HF_ENDPOINT is not a URL: '{printable(endpoint)[:100]}'", fix=fix)
    if "?" in endpoint or "#" in endpoint:  # paths are appended to it
        what = f"HF_ENDPOINT is not a URL of a Hub: '{public(endpoint)}'"
        raise Refused(what, why="it has a query or a fragment", fix=fix)
    return endpoint


def stored_token() -> str:
    """Return HF_TOKEN or the token of `hf auth login`, or an empty string. Raises Refused or Failed."""
    from huggingface_hub import constants, get_token

    try:
        token = get_token() or ""
    except (OSError, UnicodeDecodeError) as error:
        fix = "invoke login, or set HF_TOKEN, or let HF_TOKEN_PATH name another file"
        raise Failed(
            f"the token in {constants.HF_TOKEN_PATH} cannot be read", why=str(error), fix=fix
        ) from error
    if not token.isascii() or not token.isprintable():
        raise Refused(
            "the token has invalid characters", fix="invoke login, or set HF_TOKEN to a token, or unset it"
        )
    return token


def _read_page(url: str, token: str, endpoint: str) -> tuple[list[Entry], str]:
    """Return one page of a listing and the URL of the next; the token goes to the endpoint only."""
    page, following = _page(url, token if origin(url) == origin(endpoint) else "")
    if following and not is_http_url(following):
        raise ValueError("the next page has no valid URL")
    return _entries(page), following


def _page(url: str, token: str) -> tuple[Any, str]:
    """Return one page of a listing, and the URL of the next page, which is empty for the last.

    Not through `list_repo_tree`: its own retries would outlast the deadline.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    response = get_session().get(url, headers=build_hf_headers(token=token or False))
    hf_raise_for_status(response)
    following = response.links.get("next", {}).get("url")
    return response.json(), urljoin(url, following) if following else ""


def _entries(page: Any) -> list[Entry]:
    """Return the files of one page. Raises ValueError, KeyError or TypeError if it is not valid."""
    if not isinstance(page, list):
        raise TypeError("a page of a listing is a list")
    return [_entry(one) for one in page if one["type"] == "file"]


def _entry(one: dict[str, Any]) -> Entry:
    path, lfs = one["path"], one.get("lfs")
    if not isinstance(path, str):
        raise TypeError("a path is a string")
    sha256 = str(lfs["oid"]).removeprefix("sha256:") if lfs else ""
    return Entry(path, int(one["size"]), sha256 or str(one["oid"]), sha256)


def _licence(info: Any) -> str:
    card = getattr(info.card_data, "license", None)
    tags = info.tags if isinstance(info.tags, list) else []
    licences = [str(tag).removeprefix("license:") for tag in tags if str(tag).startswith("license:")]
    return printable(str(card or (licences[0] if licences else "")))
