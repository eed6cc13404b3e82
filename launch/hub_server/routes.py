"""Answer a Hub's requests, without sockets.

Routes, headers and error codes are those that huggingface_hub 2.4 reads (`hf_api.py`, `file_download.py`,
`utils/_http.py`): model info, tree, resolve with X-Repo-Commit and X-Linked-*, and X-Error-Code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from launch.hub_server import listing
from launch.hub_server.catalog import NotReady
from launch.hub_server.repository import FileState, Repository, ServedFile, ServedModel

RETRY_AFTER = 5  # seconds, while a model is being hashed


@dataclass(frozen=True)
class Slice:
    """Bytes `first` to `last` (exclusive) of a file on disk, which must still be in `state` (None: in any)."""

    at: Path
    first: int
    last: int
    state: FileState | None = None


@dataclass(frozen=True)
class Request:
    """One request: method, target as sent (path and query), headers with lower-case names, and the body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def raw_path(self) -> str:
        """The path as sent; a client of a proxy sends the whole URL as target."""
        return urlsplit(self.target).path

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    @property
    def base(self) -> str:
        """This server's URL as the client uses it, also through a proxy that adds TLS."""
        scheme = "https" if self.headers.get("x-forwarded-proto") == "https" else "http"
        return f"{scheme}://{self.headers.get('host', '')}"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query, the first value of each."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""


@dataclass(frozen=True)
class ServedHub:
    """Models, who may read them, and where their large files are.

    `find` returns a model or None, and may raise NotReady. `storage` is the URL of another host that large files are
    redirected to, as on the Hub; if it is empty, all files are sent at once. Without `token`, everyone may read.
    """

    find: Callable[[str], ServedModel | None]
    storage: str = ""
    token: str = ""
    names: Callable[[], Iterable[str]] = tuple

    def answer(self, request: Request) -> Answer:
        """Return the response to a request; an unknown route is a 404."""
        for pattern, respond in _ROUTES:
            if match := pattern.fullmatch(request.raw_path):
                parts = {
                    name: unquote(value) for name, value in match.groupdict().items() if value is not None
                }
                return _answer(respond, self, request, parts)
        return _error(404, "EntryNotFound", "The page does not exist.")

    def admits(self, request: Request) -> bool:
        """Whether the request has the token, if one is required."""
        return not self.token or request.headers.get("authorization") == f"Bearer {self.token}"


class _Refusal(Exception):
    """A request that gets an error as its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


Respond = Callable[[ServedHub, Request, dict[str, str]], Answer]


def _answer(respond: Respond, hub: ServedHub, request: Request, parts: dict[str, str]) -> Answer:
    try:
        return respond(hub, request, parts)
    except _Refusal as refusal:
        return refusal.answer
    except NotReady as model:
        answer = _error(503, "", f"the files of {model} are being hashed; try again later")
        return Answer(503, {**answer.headers, "Retry-After": str(RETRY_AFTER)}, answer.body)


def _error(status: int, code: str, message: str) -> Answer:
    shown = message.encode("ascii", "replace").decode()  # headers are Latin-1
    headers = {"X-Error-Code": code, "X-Error-Message": shown, "Content-Type": "application/json"}
    return Answer(status, headers, json.dumps({"error": message}).encode())


def _json(data: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(200, {"Content-Type": "application/json", **(headers or {})}, json.dumps(data).encode())


def _whoami(hub: ServedHub, request: Request, _: dict[str, str]) -> Answer:
    if "authorization" not in request.headers or not hub.admits(request):
        return _error(401, "", "Invalid username or password.")
    token = {"accessToken": {"displayName": "slipway", "role": "read"}}
    return _json({"type": "user", "id": "1", "name": "slipway", "orgs": [], "auth": token})


def _model(hub: ServedHub, request: Request, part: dict[str, str]) -> ServedModel:
    """Return the model that a request names. Raises the Hub's refusal."""
    if not hub.admits(request):
        raise _Refusal(_error(401, "RepoNotFound", "Repository not found"))
    if model := hub.find(part["model"]):
        return model
    raise _Refusal(_error(404, "RepoNotFound", "Repository not found"))


def _repository(hub: ServedHub, request: Request, part: dict[str, str]) -> Repository:
    """Return the model at the commit that a request names. Raises the Hub's refusal."""
    model = _model(hub, request, part)
    repository = model.at(part.get("revision"))
    if repository is None:
        raise _Refusal(_error(404, "RevisionNotFound", f"Invalid rev id: {part.get('revision', 'main')}"))
    if not repository.files and repository.notes:
        message = f"no file of {model.name} can be served: {repository.notes[0]}"
        raise _Refusal(_error(404, "RepoNotFound", message))
    return repository


def _models(hub: ServedHub, request: Request, _: dict[str, str]) -> Answer:
    if not hub.admits(request):
        return _error(401, "", "Invalid username or password.")
    search, author = request.query.get("search", "").lower(), request.query.get("author", "")
    names = [one for one in hub.names() if search in one.lower() and author in ("", one.partition("/")[0])]
    limit = request.query.get("limit", "")
    return _json([listing.summary(name) for name in names[: int(limit) if limit.isdecimal() else None]])


def _info(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    with_sizes = request.query.get("blobs", "").lower() in ("1", "true")
    return _json(listing.info(_repository(hub, request, part), with_sizes))


def _auth_check(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    _repository(hub, request, part)
    return Answer(200)


def _refs(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    return _json(listing.refs(_model(hub, request, part)))


def _commits(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    return _json(listing.commits(_repository(hub, request, part)))


def _paths_info(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    return _json(listing.paths(repository, parse_qs(request.body.decode(errors="replace")).get("paths", [])))


def _tree(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    recursive = request.query.get("recursive", "").lower() in ("1", "true")
    cursor = request.query.get("cursor", "")
    found = listing.tree(
        repository, part.get("path", ""), recursive, int(cursor) if cursor.isdecimal() else 0
    )
    if found is None:
        return _error(404, "EntryNotFound", f"{part['path']} does not exist")
    page, following = found
    if not following:
        return _json(page)
    url = f"{request.base}{request.raw_path}?recursive=true&cursor={following}"
    return _json(page, {"Link": f'<{url}>; rel="next"'})


def _resolve(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    file = repository.by_path.get(part["path"])
    if file is None:
        return _error(404, "EntryNotFound", "Entry not found")
    if file.fault:
        return _error(404, "EntryNotFound", f"{file.path} {file.fault}")
    headers = {"X-Repo-Commit": repository.commit}
    if not file.lfs or not hub.storage:
        return _content(request, file, headers)
    url = f"{hub.storage}/{repository.model}/{file.sha256}/{quote(file.path)}"
    linked = {"X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"', "Location": url}
    return Answer(302, {**headers, **linked, "ETag": f'"{file.etag}"'})


def _content(request: Request, file: ServedFile, headers: dict[str, str]) -> Answer:
    """Return the file's content, or the requested range of it."""
    headers = {
        **headers,
        "ETag": f'"{file.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    range_header = request.headers.get("range")
    if range_header is None:
        return Answer(200, headers, Slice(file.at, 0, file.size, file.state))
    span = _span(range_header, file.size)
    if span is None:
        return Answer(416, {**headers, "Content-Range": f"bytes */{file.size}"})
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last - 1}/{file.size}"
    return Answer(206, headers, Slice(file.at, first, last, file.state))


def changed(part: Slice) -> Answer:
    """Return the answer for a file that is no longer the listed one."""
    return _error(404, "EntryNotFound", f"{part.at.name} was changed since it was listed")


def _span(range_header: str, size: int) -> tuple[int, int] | None:
    """Return `bytes=a-b` as a half-open range, or None if it cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", range_header)
    if not match:
        return None
    first, last = int(match[1]), min(int(match[2] or size), size - 1) + 1
    return (first, last) if first < last else None


def _stored(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    """Return a large file from storage. It needs no token: the URL is the permission, as on the Hub."""
    model = hub.find(part["model"])
    file = model.stored(part["path"], part["sha256"]) if model else None
    if file is None or file.fault:
        return _error(404, "EntryNotFound", "Entry not found")
    return _content(request, file, {})


_MODEL = r"(?P<model>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
_ROUTES: tuple[tuple[re.Pattern[str], Respond], ...] = (
    (re.compile(r"/api/whoami-v2"), _whoami),
    (re.compile(r"/api/models/?"), _models),
    (re.compile(rf"/api/models/{_MODEL}/auth-check"), _auth_check),
    (re.compile(rf"/api/models/{_MODEL}/refs"), _refs),
    (re.compile(rf"/api/models/{_MODEL}/commits/{_REVISION}"), _commits),
    (re.compile(rf"/api/models/{_MODEL}/paths-info/{_REVISION}"), _paths_info),
    (re.compile(rf"/api/models/{_MODEL}/tree/{_REVISION}(/(?P<path>.*))?"), _tree),
    (re.compile(rf"/api/models/{_MODEL}(/revision/(?P<revision>.+))?"), _info),
    (re.compile(rf"/storage/{_MODEL}/(?P<sha256>[0-9a-f]{{64}})/(?P<path>.+)"), _stored),
    (re.compile(rf"/{_MODEL}/resolve/{_REVISION}/(?P<path>.+)"), _resolve),
)
