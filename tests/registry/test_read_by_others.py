"""Other software reads Slipway's signatures: skopeo under a strict policy, in-toto's securesystemslib."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from images.publish import publish, referrers, signing
from images.publish.attestation import tag_for
from images.publish.publish import PublishRequest
from images.registry import copy
from images.registry.client import Registry
from images.registry.manifest import digest_of
from tests.conftest import absent
from tests.registry import skopeo
from tests.registry.published import ignore, make_key
from tests.registry.pushed import LAYER, push
from tests.registry.serving import Running

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.engine
Request = Callable[..., PublishRequest]
REPOSITORY = "slipway/vllm"
FIX = "needs a skopeo that reads sigstore signatures: install 1.15 or later (Debian 13), or run as root"


@pytest.fixture(scope="session")
def command(pytestconfig: pytest.Config) -> list[str]:
    """The command of a skopeo with sigstore; pytest's cache keeps an unpacked one."""
    if found := skopeo.installed():
        return found
    if os.geteuid() != 0:
        pytest.skip(FIX)
    if shutil.which("apt-get") and not shutil.which("mmdebstrap"):
        words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"]
        subprocess.run(words, capture_output=True, check=False, timeout=300)
    if pytestconfig.cache is None or not shutil.which("mmdebstrap"):
        absent(FIX)
    return skopeo.unpacked(pytestconfig.cache.mkdir("skopeo") / "trixie") or absent(FIX)


@pytest.fixture
def public(key: Path, tmp_path: Path) -> Path:
    """The public key as a file, as `openssl pkey -pubout` writes it."""
    path = tmp_path / "slipway.pub"
    path.write_bytes(signing.public_key(key))
    return path


def test_skopeo_pulls_a_signed_image_by_digest(
    engine: DockerClient,
    registry: Running,
    publish_request: Request,
    command: list[str],
    public: Path,
    tmp_path: Path,
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    assert skopeo.error_of_copy(command, done.image, public, tmp_path) == ""
    assert digest_of((tmp_path / "pulled" / "manifest.json").read_bytes()) == done.digest


def test_skopeo_refuses_an_image_signed_with_another_key(
    engine: DockerClient, registry: Running, publish_request: Request, command: list[str], tmp_path: Path
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    other = tmp_path / "other.pub"
    other.write_bytes(signing.public_key(make_key(tmp_path / "other.key")))
    error = skopeo.error_of_copy(command, done.image, other, tmp_path)
    assert "cryptographic signature verification failed" in error
    assert not (tmp_path / "pulled" / "manifest.json").exists()


def test_skopeo_refuses_an_unsigned_image(
    engine: DockerClient,
    registry: Running,
    publish_request: Request,
    command: list[str],
    public: Path,
    tmp_path: Path,
) -> None:
    done = publish.publish(engine, publish_request(registry.host, key=None), ignore)
    assert "no signature exists" in skopeo.error_of_copy(command, done.image, public, tmp_path)


def signature(client: Registry, digest: str) -> tuple[bytes, bytes]:
    """The payload attached to an image, and its signature."""
    payload, annotations = referrers.content(client, REPOSITORY, tag_for(digest, "sig"))
    return payload, base64.b64decode(annotations[referrers.SIGNATURE])


def test_skopeo_refuses_the_signature_of_another_digest(
    engine: DockerClient,
    registry: Running,
    publish_request: Request,
    command: list[str],
    public: Path,
    tmp_path: Path,
) -> None:
    client = registry.client()
    done = publish.publish(engine, publish_request(registry.host), ignore)
    other = push(client, REPOSITORY, "other", LAYER)
    referrers.attach_signature(client, REPOSITORY, other, *signature(client, done.digest))
    image = f"{registry.host}/{REPOSITORY}@{other}"
    assert "does not match" in skopeo.error_of_copy(command, image, public, tmp_path)


def test_skopeo_refuses_the_signature_of_another_repository(
    engine: DockerClient,
    registry: Running,
    publish_request: Request,
    command: list[str],
    public: Path,
    tmp_path: Path,
) -> None:
    client = registry.client()
    done = publish.publish(engine, publish_request(registry.host), ignore)
    manifest = client.manifest(REPOSITORY, done.digest)
    copy.image(client, REPOSITORY, manifest, client, "else/where", ignore)
    referrers.attach_signature(client, "else/where", done.digest, *signature(client, done.digest))
    image = f"{registry.host}/else/where@{done.digest}"
    assert "is not accepted" in skopeo.error_of_copy(command, image, public, tmp_path)


def provenance(client: Registry, digest: str) -> Envelope:
    """The envelope attached to an image, as securesystemslib reads it."""
    text, _ = referrers.content(client, REPOSITORY, tag_for(digest, "att"))
    return Envelope.from_dict(json.loads(text))


def verify(envelope: Envelope, key: Path) -> None:
    """Verify as in-toto does, with one key. Like cosign's, Slipway's envelopes name no key."""
    public = SSlibKey.from_crypto(load_pem_public_key(signing.public_key(key)))
    envelope.verify([SSlibKey("", public.keytype, public.scheme, public.keyval)], threshold=1)


def test_securesystemslib_verifies_the_provenance(
    engine: DockerClient, registry: Running, publish_request: Request, key: Path, tmp_path: Path
) -> None:
    done = publish.publish(engine, publish_request(registry.host), ignore)
    envelope = provenance(registry.client(), done.digest)
    verify(envelope, key)
    assert json.loads(envelope.payload)["subject"][0]["digest"] == {"sha256": done.digest.split(":")[1]}
    with pytest.raises(VerificationError):
        verify(envelope, make_key(tmp_path / "other.key"))
    envelope.payload = envelope.payload.replace(b'"platform":"rocm"', b'"platform":"cuda"')
    with pytest.raises(VerificationError):
        verify(envelope, key)


def test_securesystemslib_refuses_an_unsigned_provenance(
    engine: DockerClient, registry: Running, publish_request: Request, key: Path
) -> None:
    done = publish.publish(engine, publish_request(registry.host, key=None), ignore)
    envelope = provenance(registry.client(), done.digest)
    assert envelope.signatures == {}
    with pytest.raises(VerificationError):
        verify(envelope, key)
