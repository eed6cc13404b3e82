"""Answer a Hub's requests, without sockets.

Routes, headers and error codes are those that huggingface_hub 2.4 reads (`hf_api.py`, `file_download.py`,
`utils/_http.py`): model info, tree, resolve with X-Repo-Commit and X-Linked-*, and X-Error-Code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from launch.hub_server.repository import Repository, ServedFile

PAGE = 1000  # entries in one page of a tree, as on the Hub


@dataclass(frozen=True)
class Slice:
    """Bytes `first` to `last` (exclusive) of a file on disk."""

    at: Path
    first: int
    last: int


@dataclass(frozen=True)
class Request:
    """One request: method, target as sent (path and query), headers with lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The decoded path; a client of a proxy sends the whole URL as target."""
        return unquote(urlsplit(self.target).path)


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""


@dataclass(frozen=True)
class ServedHub:
    """Repositories, who may read them, and where their large files are (`storage`: scheme and host).

    `find` returns the repository of a model or None. Without `token`, everyone may read.
    """

    find: Callable[[str], Repository | None]
    storage: str
    token: str = ""

    def answer(self, request: Request) -> Answer:
        """Return the response to a request; an unknown route is a 404."""
        for pattern, respond in _ROUTES:
            if match := pattern.fullmatch(request.path):
                return respond(self, request, match.groupdict())
        return _error(404, "EntryNotFound", "The page does not exist.")

    def storage_for(self, request: Request) -> str:
        """Return where large files are: if the host has many addresses, the one that the client uses."""
        storage = urlsplit(self.storage)
        if storage.hostname != "0.0.0.0":
            return self.storage
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        return f"{storage.scheme}://{host}:{storage.port}{storage.path}" if host else self.storage

    def admits(self, request: Request) -> bool:
        """Whether the request has the token, if one is required."""
        return not self.token or request.headers.get("authorization") == f"Bearer {self.token}"


def _error(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
    return Answer(status, headers, json.dumps({"error": message}).encode())


def _json(data: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(200, {"Content-Type": "application/json", **(headers or {})}, json.dumps(data).encode())


def _whoami(hub: ServedHub, request: Request, _: dict[str, str]) -> Answer:
    if "authorization" not in request.headers or not hub.admits(request):
        return _error(401, "", "Invalid username or password.")
    token = {"accessToken": {"displayName": "slipway", "role": "read"}}
    return _json({"type": "user", "id": "1", "name": "slipway", "orgs": [], "auth": token})


def _repository(hub: ServedHub, request: Request, part: dict[str, str]) -> Repository | Answer:
    """Return the repository that a request names, or the Hub's refusal."""
    if not hub.admits(request):
        return _error(401, "RepoNotFound", "Repository not found")
    repository = hub.find(part["model"])
    if repository is None:
        return _error(404, "RepoNotFound", "Repository not found")
    if part.get("revision") not in (None, "", "main", repository.commit):
        return _error(404, "RevisionNotFound", f"Invalid rev id: {part['revision']}")
    return repository


def _info(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    if isinstance(repository, Answer):
        return repository
    files = [{"rfilename": file.path} for file in repository.files[: 10 * PAGE]]
    tags = [f"license:{repository.licence}"] if repository.licence else []
    info = {"id": repository.model, "modelId": repository.model, "sha": repository.commit, "siblings": files}
    return _json({**info, "private": False, "gated": False, "disabled": False, "tags": tags})


def _auth_check(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    return repository if isinstance(repository, Answer) else Answer(200)


def _tree(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    if isinstance(repository, Answer):
        return repository
    query = parse_qs(urlsplit(request.target).query)
    start = int(query.get("cursor", ["0"])[0])
    page = [_entry(file) for file in repository.files[start : start + PAGE]]
    if start + PAGE >= len(repository.files):
        return _json(page)
    url = f"http://{request.headers.get('host', '')}{urlsplit(request.target).path}"
    return _json(page, {"Link": f'<{url}?recursive=true&cursor={start + PAGE}>; rel="next"'})


def _entry(file: ServedFile) -> dict[str, Any]:
    entry = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob_id}
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {**entry, "lfs": lfs} if file.lfs else entry


def _resolve(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    repository = _repository(hub, request, part)
    if isinstance(repository, Answer):
        return repository
    file = repository.by_path.get(part["path"])
    if file is None:
        return _error(404, "EntryNotFound", "Entry not found")
    headers = {"X-Repo-Commit": repository.commit}
    if not file.lfs:
        return _content(request, file, headers)
    url = f"{hub.storage_for(request)}/{repository.model}/{file.sha256}/{quote(file.path)}"
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
        return Answer(200, headers, Slice(file.at, 0, file.size))
    span = _span(range_header, file.size)
    if span is None:
        return Answer(416, {**headers, "Content-Range": f"bytes */{file.size}"})
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last - 1}/{file.size}"
    return Answer(206, headers, Slice(file.at, first, last))


def _span(range_header: str, size: int) -> tuple[int, int] | None:
    """Return `bytes=a-b` as a half-open range, or None if it cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", range_header)
    if not match:
        return None
    first, last = int(match[1]), min(int(match[2] or size), size - 1) + 1
    return (first, last) if first < last else None


def _stored(hub: ServedHub, request: Request, part: dict[str, str]) -> Answer:
    """Return a large file from storage. It needs no token: the URL is the permission, as on the Hub."""
    repository = hub.find(part["model"])
    file = repository.by_path.get(part["path"]) if repository else None
    if file is None or file.sha256 != part["sha256"]:
        return _error(404, "EntryNotFound", "Entry not found")
    return _content(request, file, {})


_MODEL = r"(?P<model>[^/]+/[^/]+)"
_ROUTES: tuple[tuple[re.Pattern[str], Callable[[ServedHub, Request, dict[str, str]], Answer]], ...] = (
    (re.compile(r"/api/whoami-v2"), _whoami),
    (re.compile(rf"/api/models/{_MODEL}/auth-check"), _auth_check),
    (re.compile(rf"/api/models/{_MODEL}/tree/(?P<revision>[^/]+)/?"), _tree),
    (re.compile(rf"/api/models/{_MODEL}(/revision/(?P<revision>.+))?"), _info),
    (re.compile(rf"/storage/{_MODEL}/(?P<sha256>[0-9a-f]{{64}})/(?P<path>.+)"), _stored),
    (re.compile(rf"/{_MODEL}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"), _resolve),
)
