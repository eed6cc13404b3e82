"""What we sign, read by code that is not ours: skopeo under a strict policy, in-toto's securesystemslib."""

import base64
import json
import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from images.publish import publish, referrers, signing
from images.publish.attestation import beside
from images.registry import copy
from images.registry.manifest import digest_of
from tests.conftest import absent
from tests.registry import skopeo
from tests.registry.published import new_key, quiet
from tests.registry.pushed import LAYER, push

pytestmark = pytest.mark.engine
REMEDY = "no skopeo that reads sigstore signatures: install 1.15 or later (Debian 13), or run as root"


@pytest.fixture(scope="session")
def command(pytestconfig):
    """skopeo with sigstore; where root had to unpack it, pytest's cache keeps it."""
    if found := skopeo.installed():
        return found
    if os.geteuid() != 0:
        pytest.skip(REMEDY)
    if shutil.which("apt-get") and not shutil.which("mmdebstrap"):
        words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"]
        subprocess.run(words, capture_output=True, check=False, timeout=300)
    folder = pytestconfig.cache.mkdir("skopeo") / "trixie"
    return (shutil.which("mmdebstrap") and skopeo.unpacked(folder)) or absent(REMEDY)


@pytest.fixture
def public(key, tmp_path):
    """Our public key as a file, as `openssl pkey -pubout` writes it."""
    path = tmp_path / "slipway.pub"
    path.write_bytes(signing.public(key))
    return path


def test_what_our_key_signed_is_pulled_by_its_digest(engine, registry, order, command, public, tmp_path):
    done = publish.publish(engine, order(registry.host), quiet)
    assert skopeo.refusal(command, done.image, public, tmp_path) == ""
    assert digest_of((tmp_path / "pulled" / "manifest.json").read_bytes()) == done.digest


def test_another_key_is_refused(engine, registry, order, command, tmp_path):
    done = publish.publish(engine, order(registry.host), quiet)
    other = tmp_path / "other.pub"
    other.write_bytes(signing.public(new_key(tmp_path / "other.key")))
    assert "cryptographic signature verification failed" in skopeo.refusal(
        command, done.image, other, tmp_path
    )
    assert not (tmp_path / "pulled" / "manifest.json").exists()


def test_an_unsigned_image_is_refused(engine, registry, order, command, public, tmp_path):
    done = publish.publish(engine, order(registry.host, key=None), quiet)
    assert "no signature exists" in skopeo.refusal(command, done.image, public, tmp_path)


def signature(client, digest):
    """The payload beside an image and the signature of it."""
    payload, notes = referrers.content(client, "slipway/vllm", beside(digest, "sig"))
    return payload, base64.b64decode(notes["dev.cosignproject.cosign/signature"])


def test_a_signature_of_another_digest_is_refused(engine, registry, order, command, public, tmp_path):
    client = registry.client()
    done = publish.publish(engine, order(registry.host), quiet)
    moved = push(client, "slipway/vllm", "other", LAYER)
    referrers.signature(client, "slipway/vllm", moved, *signature(client, done.digest))
    image = f"{registry.host}/slipway/vllm@{moved}"
    assert "does not match" in skopeo.refusal(command, image, public, tmp_path)


def test_a_signature_for_another_repository_is_refused(engine, registry, order, command, public, tmp_path):
    """A copy elsewhere is signed by whoever copies it."""
    client = registry.client()
    done = publish.publish(engine, order(registry.host), quiet)
    found = client.manifest("slipway/vllm", done.digest)
    copy.image(client, "slipway/vllm", found, client, "else/where", quiet)
    referrers.signature(client, "else/where", done.digest, *signature(client, done.digest))
    image = f"{registry.host}/else/where@{done.digest}"
    assert "is not accepted" in skopeo.refusal(command, image, public, tmp_path)


def provenance(client, digest):
    """The envelope beside an image, as securesystemslib reads it."""
    text, _ = referrers.content(client, "slipway/vllm", beside(digest, "att"))
    return Envelope.from_dict(json.loads(text))


def verify(envelope, key):
    """As in-toto does it, with one key. Like cosign's, our envelopes name none: the reader knows whom to ask."""
    told = SSlibKey.from_crypto(load_pem_public_key(signing.public(key)))
    envelope.verify([SSlibKey("", told.keytype, told.scheme, told.keyval)], threshold=1)


def test_the_provenance_is_a_signed_envelope(engine, registry, order, key, tmp_path):
    done = publish.publish(engine, order(registry.host), quiet)
    found = provenance(registry.client(), done.digest)
    verify(found, key)
    assert json.loads(found.payload)["subject"][0]["digest"] == {"sha256": done.digest.split(":")[1]}
    with pytest.raises(VerificationError):
        verify(found, new_key(tmp_path / "other.key"))
    found.payload = found.payload.replace(b'"platform":"rocm"', b'"platform":"cuda"')
    with pytest.raises(VerificationError):
        verify(found, key)


def test_a_provenance_that_nobody_signed_is_nobodys(engine, registry, order, key):
    done = publish.publish(engine, order(registry.host, key=None), quiet)
    found = provenance(registry.client(), done.digest)
    assert found.signatures == {}
    with pytest.raises(VerificationError):
        verify(found, key)
