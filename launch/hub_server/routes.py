"""What a Hub says: from a request to an answer, without sockets.

The routes, headers and error codes are those that huggingface_hub 2.4 reads (`hf_api.py`, `file_download.py`,
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
class Answer:
    """One response. `where` and `name` say what was asked for, in the words of `faults.Fault`."""

    status: int
    where: str
    name: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""


@dataclass(frozen=True)
class Request:
    """One request: method, target as sent (path and query), headers with lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Hub:
    """The repositories, who may read them, and where their large files are (`storage`: scheme and host).

    `find` gives the repository of a model or None; `token` empty means that everybody may read.
    """

    find: Callable[[str], Repository | None]
    storage: str
    token: str = ""

    def answer(self, request: Request) -> Answer:
        """The answer to any request; an unknown route is a 404."""
        path = unquote(urlsplit(request.target).path)
        for pattern, respond in _ROUTES:
            if found := pattern.fullmatch(path):
                return respond(self, request, found.groupdict())
        return _error(404, "any", "EntryNotFound", "Sorry, we can't find the page you are looking for.")

    def storage_for(self, request: Request) -> str:
        """Where large files are for this client: of a host's many addresses, the one that it asked."""
        at = urlsplit(self.storage)
        if at.hostname != "0.0.0.0":
            return self.storage
        asked = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        return f"{at.scheme}://{asked}:{at.port}{at.path}" if asked else self.storage

    def admits(self, request: Request) -> bool:
        """Whether the request carries the token, if one is needed."""
        return not self.token or request.headers.get("authorization") == f"Bearer {self.token}"


def _error(status: int, where: str, code: str, message: str, name: str = "") -> Answer:
    headers = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
    return Answer(status, where, name, headers, json.dumps({"error": message}).encode())


def _json(where: str, data: Any, headers: dict[str, str] | None = None) -> Answer:
    headers = {"Content-Type": "application/json", **(headers or {})}
    return Answer(200, where, "", headers, json.dumps(data).encode())


def _whoami(hub: Hub, request: Request, _: dict[str, str]) -> Answer:
    if "authorization" not in request.headers or not hub.admits(request):
        return _error(401, "whoami", "", "Invalid username or password.")
    token = {"accessToken": {"displayName": "slipway", "role": "read"}}
    return _json("whoami", {"type": "user", "id": "1", "name": "slipway", "orgs": [], "auth": token})


def _repository(hub: Hub, request: Request, part: dict[str, str], where: str) -> Repository | Answer:
    """The repository that a request names, or the Hub's words for why not."""
    if not hub.admits(request):
        return _error(401, where, "RepoNotFound", "Repository not found")
    repository = hub.find(part["model"])
    if repository is None:
        return _error(404, where, "RepoNotFound", "Repository not found")
    if part.get("revision") not in (None, "", "main", repository.commit):
        return _error(404, where, "RevisionNotFound", f"Invalid rev id: {part['revision']}")
    return repository


def _info(hub: Hub, request: Request, part: dict[str, str]) -> Answer:
    found = _repository(hub, request, part, "info")
    if isinstance(found, Answer):
        return found
    files = [{"rfilename": file.path} for file in found.files[: 10 * PAGE]]
    tags = [f"license:{found.licence}"] if found.licence else []
    info = {"id": found.model, "modelId": found.model, "sha": found.commit, "siblings": files}
    return _json("info", {**info, "private": False, "gated": False, "disabled": False, "tags": tags})


def _auth_check(hub: Hub, request: Request, part: dict[str, str]) -> Answer:
    found = _repository(hub, request, part, "info")
    return found if isinstance(found, Answer) else Answer(200, "info")


def _tree(hub: Hub, request: Request, part: dict[str, str]) -> Answer:
    found = _repository(hub, request, part, "tree")
    if isinstance(found, Answer):
        return found
    query = parse_qs(urlsplit(request.target).query)
    start = int(query.get("cursor", ["0"])[0])
    page = [_entry(file) for file in found.files[start : start + PAGE]]
    if start + PAGE >= len(found.files):
        return _json("tree", page)
    here = f"http://{request.headers.get('host', '')}{urlsplit(request.target).path}"
    link = f'<{here}?recursive=true&cursor={start + PAGE}>; rel="next"'
    return _json("tree", page, {"Link": link})


def _entry(file: ServedFile) -> dict[str, Any]:
    entry = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob_id}
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {**entry, "lfs": lfs} if file.lfs else entry


def _resolve(hub: Hub, request: Request, part: dict[str, str]) -> Answer:
    found = _repository(hub, request, part, "resolve")
    if isinstance(found, Answer):
        return found
    file = found.by_path.get(part["path"])
    if file is None:
        return _error(404, "resolve", "EntryNotFound", "Entry not found", part["path"])
    headers = {"X-Repo-Commit": found.commit}
    if not file.lfs:
        return _content(request, file, "resolve", headers)
    place = f"{hub.storage_for(request)}/{found.model}/{file.sha256}/{quote(file.path)}"
    linked = {"X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"', "Location": place}
    return Answer(302, "resolve", file.path, {**headers, **linked, "ETag": f'"{file.etag}"'})


def _content(request: Request, file: ServedFile, where: str, headers: dict[str, str]) -> Answer:
    """The file's bytes, or the range of them that was asked for."""
    headers = {**headers, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    headers["Content-Type"] = "application/octet-stream"
    asked = request.headers.get("range")
    if asked is None:
        return Answer(200, where, file.path, headers, Slice(file.at, 0, file.size))
    span = _span(asked, file.size)
    if span is None:
        headers["Content-Range"] = f"bytes */{file.size}"
        return Answer(416, where, file.path, headers)
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last - 1}/{file.size}"
    return Answer(206, where, file.path, headers, Slice(file.at, first, last))


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """`bytes=a-b` as a half-open range; None where it cannot be satisfied."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if not found:
        return None
    first, last = int(found[1]), min(int(found[2] or size), size - 1) + 1
    return (first, last) if first < last else None


def _stored(hub: Hub, request: Request, part: dict[str, str]) -> Answer:
    """A large file from storage: no token is asked for, the address is the permission, as on the Hub."""
    found = hub.find(part["model"])
    file = found.by_path.get(part["path"]) if found else None
    if file is None or file.sha256 != part["sha256"]:
        return _error(404, "content", "EntryNotFound", "Entry not found", part["path"])
    return _content(request, file, "content", {})


_MODEL = r"(?P<model>[^/]+/[^/]+)"
_ROUTES: tuple[tuple[re.Pattern[str], Callable[[Hub, Request, dict[str, str]], Answer]], ...] = (
    (re.compile(r"/api/whoami-v2"), _whoami),
    (re.compile(rf"/api/models/{_MODEL}/auth-check"), _auth_check),
    (re.compile(rf"/api/models/{_MODEL}/tree/(?P<revision>[^/]+)/?"), _tree),
    (re.compile(rf"/api/models/{_MODEL}(/revision/(?P<revision>.+))?"), _info),
    (re.compile(rf"/storage/{_MODEL}/(?P<sha256>[0-9a-f]{{64}})/(?P<path>.+)"), _stored),
    (re.compile(rf"/{_MODEL}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"), _resolve),
)
