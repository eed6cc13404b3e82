"""Sign and verify with a local key: ECDSA P-256 over SHA-256 by the host's OpenSSL, as cosign does."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from pathlib import Path

from errors import Failed, Refused

MAKE_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out slipway.key && chmod 600 slipway.key"

# Start of the DER encoding of every P-256 public key (RFC 5480): id-ecPublicKey, prime256v1, 65 bytes of point.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def public_key(key: Path) -> bytes:
    """Return the public key in PEM. Raises Refused if the file is not a usable key or others may read it."""
    if not key.is_file():
        raise Refused(f"signing key {key} does not exist", fix=MAKE_KEY)
    if key.stat().st_mode & 0o077:
        raise Refused(f"other users can read the signing key {key}", fix=f"chmod 600 {key}")
    done = _openssl("pkey", "-in", str(key), "-pubout", "-passin", "pass:")
    if done.returncode or b"BEGIN PUBLIC KEY" not in done.stdout:
        raise Refused(f"{key} is not a private key without a password", why=_reason(done), fix=MAKE_KEY)
    if not base64.b64decode(b"".join(done.stdout.splitlines()[1:-1])).startswith(_P256):
        raise Refused(
            f"{key} is not an EC P-256 key", why="cosign and skopeo verify no other kind", fix=MAKE_KEY
        )
    return done.stdout


def sign(key: Path, data: bytes) -> bytes:
    """Return an ASN.1 ECDSA signature. Raises Failed."""
    done = _openssl("dgst", "-sha256", "-sign", str(key), data=data)
    if done.returncode:
        raise Failed(f"cannot sign with {key}", why=_reason(done))
    return done.stdout


def verify(public: bytes, data: bytes, signature: bytes) -> bool:
    """Return whether the owner of the private key signed exactly this data."""
    with tempfile.TemporaryDirectory() as folder:
        key, signed = Path(folder, "key.pem"), Path(folder, "signature")
        key.write_bytes(public)
        signed.write_bytes(signature)
        done = _openssl("dgst", "-sha256", "-verify", str(key), "-signature", str(signed), data=data)
    return done.returncode == 0


def _openssl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    except FileNotFoundError:
        raise Failed(
            "openssl is not installed", fix="apt-get install openssl, or publish with --unsigned"
        ) from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the reason in OpenSSL's last line, `ID:error:CODE:library:function:reason:file:line:more`."""
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    fields = last.split(":")
    return fields[5] if len(fields) > 6 and fields[1] == "error" else last[-200:]
