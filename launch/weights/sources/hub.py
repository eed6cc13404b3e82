"""The Hub by way of huggingface_hub: who we are, what a model is, and errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urljoin

from errors import Failed, Refused
from launch.http.pool import ConnectionPool
from launch.http.proxies import through_proxy
from launch.http.ranges import Body
from launch.http.retry import RetryPolicy, Transient
from launch.http.talk import Made, with_retries
from launch.http.url import is_http_url, origin, printable, public
from launch.weights.cache import COMMIT
from launch.weights.manifest import DISTRUST, MOST_FILES, Entry, Manifest, checked
from launch.weights.sources.hub_errors import read_error
from launch.weights.sources.hub_session import session
from launch.weights.sources.source import HubFiles

MOST_PAGES = 2000
MOST_TALK = (
    2  # times the patience for one question, until an endpoint that never ends its answers is given up
)


@dataclass
class Hub:
    """A model on a Hub, as a source of bytes (`sources.Source`)."""

    model: str
    endpoint: str
    patience: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    say: Callable[[str], None] = field(default=lambda line: None, repr=False)
    _files: HubFiles | None = field(default=None, repr=False)

    def manifest(self, revision: str) -> Manifest:
        """Resolve a revision, check licence and access, and list the files with sizes and hashes."""
        token = stored_token()
        with session(self.patience):
            found = self._ask(revision, token)
        self._files = HubFiles(self.endpoint, self.model, found.commit, token)
        return found

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Body:
        """The bytes of one file, from `first` to `end`."""
        assert self._files is not None, "the manifest comes first"
        return self._files.open(entry, first, end, connections)

    def _ask(self, revision: str, token: str) -> Manifest:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=token or False)
        info = self._patiently(lambda: api.model_info(self.model, revision=revision))
        if getattr(info, "gated", False):
            self._patiently(lambda: api.auth_check(self.model))
        commit = str(info.sha or "")
        checked(Manifest(self.model, revision, commit, ()))  # before it becomes part of an address
        if COMMIT.fullmatch(revision) and commit != revision:
            why = f"{public(self.endpoint)} answers with commit {commit}"
            raise Failed(f"{self.model} at {revision} is not what the server has", why=why, fix=DISTRUST)
        entries = self._list(commit, token)
        return checked(Manifest(self.model, revision, commit, entries, _licence(info), public(self.endpoint)))

    def _list(self, commit: str, token: str) -> tuple[Entry, ...]:
        """Every file of a commit, page by page, up to a limit that `checked` explains."""
        url = f"{self.endpoint}/api/models/{self.model}/tree/{commit}?recursive=true&expand=false"
        entries: list[Entry] = []
        seen: set[str] = set()
        while url and len(seen) < MOST_PAGES and url not in seen:
            seen.add(url)
            found, url = self._patiently(partial(_read_page, url, token, self.endpoint))
            entries += found
            if not url or len(entries) > MOST_FILES:
                return tuple(entries)
        why = f"its pages go round in a circle, or there are more than {MOST_PAGES}"
        raise Failed(
            f"{self.model}: the listing does not end", why=why, fix="try again later, or another mirror"
        )

    def _patiently(self, ask: Callable[[], Made]) -> Made:
        """The answer, after as many tries as it is worth."""
        where = public(self.endpoint) + through_proxy(
            self.endpoint
        )  # a proxy of another kind is refused here
        try:
            return with_retries(
                self.patience,
                ask,
                lambda error: read_error(error, self.model),
                lambda line: self.say(f"{where}: {line}"),
            )
        except Transient as trouble:
            raise Failed(
                f"{where} does not answer for {self.model}",
                why=trouble.reason,
                fix="check HF_ENDPOINT, proxy and network; what is in the cache can be served without them",
            ) from trouble


def endpoint_of(given: str | None = None) -> str:
    """The Hub to talk to: the one given, HF_ENDPOINT, or huggingface_hub's own default. Raises Refused."""
    from huggingface_hub import constants

    found = (given or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).strip().rstrip("/")
    if not is_http_url(found):
        raise Refused(
            f"HF_ENDPOINT is no address: {printable(found)[:100]}",
            fix="write it as http://host or https://host",
        )
    return found


def stored_token() -> str:
    """HF_TOKEN, or what `hf auth login` stored; empty for nobody. Raises Refused or Failed for what is none."""
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
            "the token has characters that no token has",
            fix="invoke login, or set HF_TOKEN to a token, or unset it",
        )
    return token


def _entries(page: Any) -> list[Entry]:
    """The files of one page of a tree. Raises ValueError, KeyError or TypeError where it is none."""
    if not isinstance(page, list):
        raise TypeError("a page of a listing is a list")
    return [_entry(one) for one in page if one["type"] == "file"]


def _entry(one: dict[str, Any]) -> Entry:
    path, lfs = one["path"], one.get("lfs")
    if not isinstance(path, str):
        raise TypeError("a name is a text")
    sha256 = str(lfs["oid"]).removeprefix("sha256:") if lfs else ""
    return Entry(path, int(one["size"]), sha256 or str(one["oid"]), sha256)


def _read_page(url: str, token: str, endpoint: str) -> tuple[list[Entry], str]:
    """One page; the token goes to the endpoint alone."""
    page, following = _page(url, token if origin(url) == origin(endpoint) else "")
    if following and not is_http_url(following):
        raise ValueError("the next page has no address")
    return _entries(page), following


def _page(url: str, token: str) -> tuple[Any, str]:
    """One page of a listing, and the address of the next, empty at the end.

    Not through `list_repo_tree`, which waits and tries again by itself, for longer than anyone could stop it.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    answer = get_session().get(url, headers=build_hf_headers(token=token or False))
    hf_raise_for_status(answer)
    following = answer.links.get("next", {}).get("url")
    return answer.json(), urljoin(url, following) if following else ""


def _licence(info: Any) -> str:
    card = getattr(info.card_data, "license", None)
    tags = info.tags if isinstance(info.tags, list) else []
    named = [str(tag).removeprefix("license:") for tag in tags if str(tag).startswith("license:")]
    return printable(str(card or (named[0] if named else "")))
