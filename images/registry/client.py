"""An image registry's HTTP API (the OCI distribution specification): manifests, blobs, and logins.

The credentials are those of `docker login`; they are sent to the registry and its token service only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode, urljoin

from errors import Failed
from images.registry import manifest as manifests
from images.registry.address import stored_login, url_of
from images.registry.manifest import LISTS, MANIFESTS, ImageManifest, digest_of
from launch.http.client import NotFound, Response, request

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
Body = bytes | Iterable[bytes] | None


@dataclass
class Registry:
    """One registry. `login` is the base64 of user:password."""

    host: str
    url: str
    login: str = field(default="", repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)  # by repository, `*` for all

    def manifest(self, repository: str, reference: str) -> ImageManifest:
        """Return the manifest or list of a tag or digest. Raises NotFound, or Failed if it is not valid."""
        accept = {"Accept": ", ".join((*MANIFESTS, *LISTS))}
        response = self._request("GET", f"{repository}/manifests/{reference}", accept)
        media_type = response.headers.get("content-type", "").split(";")[0]
        by_digest = reference.startswith("sha256:")
        digest = reference if by_digest else response.headers.get("docker-content-digest", "")
        where = f"{self.host}/{repository}{'@' if by_digest else ':'}{reference}"
        return manifests.checked(where, response.read(manifests.LIMIT), media_type, digest)

    def resolve(self, repository: str, reference: str, platform: str = "linux/amd64") -> ImageManifest:
        """Return the manifest of one platform; of a list, the one that it names for the platform."""
        manifest = self.manifest(repository, reference)
        if manifest.media_type not in LISTS:
            return manifest
        system, machine = platform.split("/")
        for entry in manifest.json["manifests"]:
            described = entry.get("platform") or {}
            if (described.get("os"), described.get("architecture")) == (system, machine):
                return replace(self._image(repository, entry["digest"]), listed_in=manifest.digest)
        raise NotFound(f"{self.host}/{repository}:{reference} has nothing for {platform}")

    def _image(self, repository: str, digest: str) -> ImageManifest:
        """Return a manifest that a list names. Raises Failed if it is a list too."""
        manifest = self.manifest(repository, digest)
        if manifest.media_type in LISTS:
            raise Failed(f"{self.host}/{repository}@{digest} is a list inside a list")
        return manifest

    def labels(self, repository: str, image: ImageManifest) -> dict[str, str]:
        """Return the labels in the image's configuration."""
        digest = image.json["config"]["digest"]
        where = f"{self.host}/{repository}@{digest}"
        return manifests.labels(where, b"".join(self.blob(repository, digest)))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Return whether the registry has a blob."""
        try:
            return self._request("HEAD", f"{repository}/blobs/{digest}").status == 200
        except NotFound:
            return False

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Yield a blob in pieces. Raises Failed at its end if it does not have its digest."""
        sha256 = hashlib.sha256()
        for piece in self._request("GET", f"{repository}/blobs/{digest}").chunks():
            sha256.update(piece)
            yield piece
        if f"sha256:{sha256.hexdigest()}" != digest:
            what = f"{self.host}/{repository}: blob {digest} has another content"
            raise Failed(what, why=f"its hash is sha256:{sha256.hexdigest()}")

    def put_blob(self, repository: str, digest: str, size: int, pieces: Iterable[bytes]) -> bool:
        """Upload a blob unless the registry has it; return whether it was sent."""
        if self.has_blob(repository, digest):
            return False
        started = self._request("POST", f"{repository}/blobs/uploads/", {"Content-Length": "0"})
        started.read()
        if "location" not in started.headers:
            why = f"it answers {started.status} to an upload, without a location"
            raise Failed(f"{self.host} is not a registry", why=why)
        url = urljoin(started.url, started.headers["location"])
        url += ("&" if "?" in url else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._request("PUT", url, headers, pieces).read()
        return True

    def put_manifest(self, repository: str, reference: str, raw: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest; return its digest."""
        headers = {"Content-Type": media_type, "Content-Length": str(len(raw))}
        self._request("PUT", f"{repository}/manifests/{reference}", headers, raw).read()
        return digest_of(raw)

    def _request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Body = None
    ) -> Response:
        """Send a request to a path or URL, after a challenge once more with credentials. Raises Failed."""
        url = path if "://" in path else f"{self.url}/v2/{path}"
        repository = re.split("/blobs/|/manifests/", url.removeprefix(f"{self.url}/v2/"), maxsplit=1)[0]
        response = self._send(method, url, repository, headers, body)
        if response.status == 401 and (
            body is None or isinstance(body, bytes)
        ):  # a stream cannot be sent twice
            challenge = response.headers.get("www-authenticate", "")
            response.read()
            self._tokens[repository] = self._authorize(challenge)
            response = self._send(method, url, repository, headers, body)
        return self._require_success(response, url)

    def _send(
        self, method: str, url: str, repository: str, headers: dict[str, str] | None, body: Body
    ) -> Response:
        token = self._tokens.get(repository) or self._tokens.get("*", "")
        credentials = {"Authorization": token} if token and url.startswith(f"{self.url}/") else {}
        return request(method, url, headers={**(headers or {}), **credentials}, body=body)

    def _authorize(self, challenge: str) -> str:
        """Return the Authorization header that a challenge asks for: a token of its service, or the login."""
        scheme, _, rest = challenge.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        basic = {"Authorization": f"Basic {self.login}"} if self.login else {}
        if scheme.lower() == "basic":
            self._tokens["*"] = basic.get("Authorization", "")
            return self._tokens["*"]
        if scheme.lower() != "bearer" or "realm" not in parameters:
            raise self._login_refused(challenge)
        query = urlencode({k: v for k, v in parameters.items() if k in ("service", "scope")})
        response = request("GET", f"{parameters['realm']}?{query}", headers=basic)
        if response.status != 200:
            raise self._login_refused(response.summary())
        return f"Bearer {_token(response.read(), parameters['realm'])}"

    def _login_refused(self, why: str) -> Failed:
        fix = f"docker login {self.host}" + (" (the stored password is not accepted)" if self.login else "")
        return Failed(f"{self.host} refuses the login", why=why, fix=fix)

    def _require_success(self, response: Response, url: str) -> Response:
        """Return a successful response. Raises NotFound or Failed for others."""
        if response.status < 400:
            return response
        why = response.summary()
        if response.status in (401, 403):
            raise self._login_refused(why)
        if response.status == 404:
            raise NotFound(f"{self.host} has no {url.rsplit('/v2/', 1)[-1]}", why=why)
        fix = f"--registry {self.host}=https://{self.host}" if "HTTPS server" in why else ""
        raise Failed(f"{self.host} answered {response.status}", why=why, fix=fix)


def _token(text: bytes, service: str) -> str:
    """Return the token in a token service's response. Raises Failed."""
    try:
        values = json.loads(text)
        token = values.get("token") or values.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str):
        raise Failed(f"{service} is not a token service", why="its response has no token")
    return token


def connect(host: str, urls: dict[str, str] | None = None) -> Registry:
    """Return a registry by the host in its references; `urls` has the URLs of hosts that listen elsewhere."""
    return Registry(host, (urls or {}).get(host, "").rstrip("/") or url_of(host), stored_login(host))
