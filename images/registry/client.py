"""An image registry's HTTP API (the distribution spec): manifests by tag and digest, blobs, ways to log in.

Credentials are those of `docker login`; they are sent to the registry and its token service, nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin

from errors import Failed
from images.registry import manifest as manifests
from images.registry.manifest import LISTS, MANIFESTS, Manifest, digest_of
from images.registry.reference import login_of, url_of
from launch.http.client import NotFound, Response, request

_FIELD = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Registry:
    """One registry. `login` is base64 of user:password."""

    host: str
    url: str
    login: str = field(default="", repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest or list of a tag or digest. Raises NotFound where there is none, Failed where it lies."""
        accept = {"Accept": ", ".join((*MANIFESTS, *LISTS))}
        answer = self._ask("GET", f"{repository}/manifests/{reference}", accept)
        kind = answer.headers.get("content-type", "").split(";")[0]
        by_digest = reference.startswith("sha256:")
        told = reference if by_digest else answer.headers.get("docker-content-digest", "")
        where = f"{self.host}/{repository}{'@' if by_digest else ':'}{reference}"
        return manifests.checked(where, answer.read(manifests.LIMIT), kind, told)

    def resolve(self, repository: str, reference: str, platform: str = "linux/amd64") -> Manifest:
        """The manifest of one platform: a list is followed to its entry for that platform."""
        found = self.manifest(repository, reference)
        if found.media_type not in LISTS:
            return found
        system, machine = platform.split("/")
        for entry in found.json["manifests"]:
            about = entry.get("platform") or {}
            if (about.get("os"), about.get("architecture")) == (system, machine):
                return self._image(repository, entry["digest"])
        raise Failed(f"{self.host}/{repository}:{reference} has nothing for {platform}")

    def _image(self, repository: str, digest: str) -> Manifest:
        """What a list leads to, which is no list again."""
        found = self.manifest(repository, digest)
        if found.media_type in LISTS:
            raise Failed(f"{self.host}/{repository}@{digest} is a list inside a list")
        return found

    def labels(self, repository: str, image: Manifest) -> dict[str, str]:
        """The labels in the image's configuration."""
        digest = image.json["config"]["digest"]
        return manifests.labels(f"{self.host}/{repository}@{digest}", b"".join(self.blob(repository, digest)))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Is it there already?"""
        try:
            return self._ask("HEAD", f"{repository}/blobs/{digest}").status == 200
        except NotFound:
            return False

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """A blob piece by piece. Raises Failed at its end where it is not what its digest says."""
        seen = hashlib.sha256()
        for piece in self._ask("GET", f"{repository}/blobs/{digest}").chunks():
            seen.update(piece)
            yield piece
        if f"sha256:{seen.hexdigest()}" != digest:
            raise Failed(f"{self.host}/{repository}: blob {digest} is something else", why=seen.hexdigest())

    def put_blob(self, repository: str, digest: str, size: int, pieces: Iterable[bytes]) -> bool:
        """Upload unless it is there; whether it was sent."""
        if self.has_blob(repository, digest):
            return False
        begun = self._ask("POST", f"{repository}/blobs/uploads/", {"Content-Length": "0"})
        begun.read()
        if "location" not in begun.headers:
            raise Failed(f"{self.host} is no registry", why=f"it answers {begun.status} and takes no upload")
        place = urljoin(begun.url, begun.headers["location"])
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        about = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._ask("PUT", place, about, pieces).read()
        return True

    def put_manifest(self, repository: str, reference: str, raw: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest; its digest."""
        about = {"Content-Type": media_type, "Content-Length": str(len(raw))}
        self._ask("PUT", f"{repository}/manifests/{reference}", about, raw).read()
        return digest_of(raw)

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> Response:
        url = path if "://" in path else f"{self.url}/v2/{path}"
        place = re.split("/blobs/|/manifests/", url.removeprefix(f"{self.url}/v2/"), maxsplit=1)[0]
        answer = self._send(method, url, place, headers, body)
        if answer.status == 401 and (body is None or isinstance(body, bytes)):
            asked = answer.headers.get("www-authenticate", "")
            answer.read()
            self._tokens[place] = self._authorize(asked)
            answer = self._send(method, url, place, headers, body)
        return self._judged(answer, url)

    def _send(self, method: str, url: str, place: str, headers: dict[str, str] | None, body: Any) -> Response:
        return request(method, url, headers={**(headers or {}), **self._credentials(url, place)}, body=body)

    def _credentials(self, url: str, place: str) -> dict[str, str]:
        known = self._tokens.get(place) or self._tokens.get("*", "")
        return {"Authorization": known} if known and url.startswith(f"{self.url}/") else {}

    def _authorize(self, challenge: str) -> str:
        """What the registry wants to see: a token of its service, or the login itself."""
        kind, _, rest = challenge.partition(" ")
        said = dict(_FIELD.findall(rest))
        basic = {"Authorization": f"Basic {self.login}"} if self.login else {}
        if kind.lower() == "basic":
            self._tokens["*"] = basic.get("Authorization", "")
            return self._tokens["*"]
        if kind.lower() != "bearer" or "realm" not in said:
            raise self._refused(challenge)
        query = urlencode({k: v for k, v in said.items() if k in ("service", "scope")})
        answer = request("GET", f"{said['realm']}?{query}", headers=basic)
        if answer.status != 200:
            raise self._refused(answer.summary())
        return f"Bearer {_token(answer.read(), said['realm'])}"

    def _refused(self, why: str) -> Failed:
        fix = f"docker login {self.host}" + (" (the stored password is not accepted)" if self.login else "")
        return Failed(f"{self.host} refuses the login", why=why, fix=fix)

    def _judged(self, answer: Response, url: str) -> Response:
        if answer.status < 400:
            return answer
        said = answer.summary()
        if answer.status in (401, 403):
            raise self._refused(said)
        if answer.status == 404:
            raise NotFound(f"{self.host} has no {url.rsplit('/v2/', 1)[-1]}", why=said)
        fix = f"--registry {self.host}=https://{self.host}" if "HTTPS server" in said else ""
        raise Failed(f"{self.host} answered {answer.status}", why=said, fix=fix)


def _token(text: bytes, service: str) -> str:
    """The token in a token service's answer. Raises Failed where there is none."""
    try:
        said = json.loads(text)
        found = said.get("token") or said.get("access_token")
    except (ValueError, AttributeError):
        found = None
    if not isinstance(found, str):
        raise Failed(f"{service} is no token service", why="its answer has no token")
    return found


def connect(host: str, urls: dict[str, str] | None = None) -> Registry:
    """A registry by the host its references name; `urls` says where it really listens, where that differs."""
    return Registry(host, (urls or {}).get(host, "").rstrip("/") or url_of(host), login_of(host))
