"""The Hub by way of huggingface_hub: who we are, what a model is, and errors that say what to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urljoin

from errors import Failed, Refused, SlipwayError
from launch.weights.hub_session import Made, session, within
from launch.weights.manifest import MOST_FILES, Entry, Manifest, checked
from launch.weights.network import Connections, origin
from launch.weights.patience import Patience, Transient, asked_wait
from launch.weights.ranges import Body
from launch.weights.sources import HubFiles, refusal

MOST_PAGES = 2000


@dataclass
class Hub:
    """A model on a Hub, as a source of bytes (`sources.Source`)."""

    model: str
    endpoint: str
    patience: Patience = field(default_factory=lambda: Patience(attempts=6))
    say: Callable[[str], None] = field(default=lambda line: None, repr=False)
    _files: HubFiles | None = field(default=None, repr=False)

    def manifest(self, revision: str) -> Manifest:
        """Resolve a revision, check licence and access, and list the files with sizes and hashes."""
        token = stored_token()
        with session(self.patience):
            found = self._ask(revision, token)
        self._files = HubFiles(self.endpoint, self.model, found.commit, token)
        return found

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Body:
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
        entries = self._list(commit, token)
        return checked(Manifest(self.model, revision, commit, entries, _licence(info), self.endpoint))

    def _list(self, commit: str, token: str) -> tuple[Entry, ...]:
        """Every file of a commit, page by page, up to a limit that `checked` explains."""
        url = f"{self.endpoint}/api/models/{self.model}/tree/{commit}?recursive=true&expand=false"
        entries: list[Entry] = []
        for _ in range(MOST_PAGES):
            secret = token if origin(url) == origin(self.endpoint) else ""
            found, url = self._patiently(partial(_read_page, url, secret))
            entries += found
            if not url or len(entries) > MOST_FILES:
                return tuple(entries)
        raise Failed(f"{self.model}: the listing does not end", why=f"it has more than {MOST_PAGES} pages")

    def _patiently(self, ask: Callable[[], Made]) -> Made:
        """The answer, after as many tries as it is worth."""
        for failures in range(1, self.patience.attempts + 1):
            try:
                return within(self.patience.talk, ask)
            except Exception as error:
                trouble = _read_error(error, self.model)
            seconds = self.patience.wait(failures, trouble)
            if seconds is None:
                break
            self.say(f"{self.endpoint}: {trouble.reason}; trying again in {seconds:.0f} s")
            threading.Event().wait(seconds)
        raise Failed(
            f"{self.endpoint} does not answer for {self.model}",
            why=trouble.reason,
            fix="check HF_ENDPOINT, proxy and network; what is in the cache can be served without them",
        )


def endpoint_of(given: str | None = None) -> str:
    """The Hub to talk to: the one given, HF_ENDPOINT, or huggingface_hub's own default. Raises Refused."""
    from huggingface_hub import constants

    found = (given or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not found.startswith(("http://", "https://")):
        raise Refused(f"HF_ENDPOINT is no address: {found[:100]}", fix="write it with http:// or https://")
    return found


def stored_token() -> str:
    """HF_TOKEN, or what `hf auth login` stored; empty for nobody."""
    from huggingface_hub import get_token

    return get_token() or ""


def _entries(page: Any) -> list[Entry]:
    """The files of one page of a tree. Raises ValueError, KeyError or TypeError where it is none."""
    files = [one for one in page if one["type"] == "file"]
    return [_entry(str(one["path"]), int(one["size"]), str(one["oid"]), one.get("lfs")) for one in files]


def _entry(path: str, size: int, oid: str, lfs: dict[str, Any] | None) -> Entry:
    sha256 = str(lfs["oid"]).removeprefix("sha256:") if lfs else ""
    return Entry(path, size, sha256 or oid, sha256)


def _read_page(url: str, token: str) -> tuple[list[Entry], str]:
    page, following = _page(url, token)
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
    card = info.card_data.get("license") if info.card_data else None
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return str(card or (tags[0] if tags else ""))


def _read_error(error: Exception, model: str) -> Transient:
    """What huggingface_hub raised, as something to try again. Raises Failed or Refused where it is none."""
    from huggingface_hub import errors

    if isinstance(error, SlipwayError | Transient):
        raise error
    if isinstance(error, errors.HFValidationError):
        raise Refused(
            f"'{model}' is not a model", why=str(error), fix="write it as organisation/name"
        ) from error
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status, headers = error.response.status_code, error.response.headers
        if status in (408, 425, 429) or status >= 500:
            return Transient(f"it answered {status}", asked_wait(headers))
        raise refusal(model, status, _code(error), "") from error
    if isinstance(error, errors.LocalTokenNotFoundError | errors.OfflineModeIsEnabled):
        raise Failed(f"{model}: {error}", fix="invoke login; unset HF_HUB_OFFLINE") from error
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise Failed(
            "the Hub's certificate is not trusted", why=str(error), fix="set SSL_CERT_FILE to your CA bundle"
        ) from error
    return Transient(_plain(error))


def _code(error: Any) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):  # a RepositoryNotFoundError too, so it comes first
        return "GatedRepo"
    return error.response.headers.get("X-Error-Code") or (
        "RepoNotFound" if isinstance(error, errors.RepositoryNotFoundError) else ""
    )


def _plain(error: Exception) -> str:
    if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
        return "it answered with something that is not the Hub's JSON (a login page, or a proxy's?)"
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no answer'}"
