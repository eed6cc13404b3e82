"""Sign and verify with a local key: ECDSA P-256 over SHA-256 by the host's OpenSSL, as cosign does.

openssl ecparam -name prime256v1 -genkey -noout -out slipway.key
"""

from __future__ import annotations

import base64
import subprocess
import tempfile
from pathlib import Path

from errors import Failed, Refused

MAKE_ONE = "openssl ecparam -name prime256v1 -genkey -noout -out slipway.key && chmod 600 slipway.key"

# How the DER of every public key on that curve begins (RFC 5480): id-ecPublicKey, prime256v1, 65 bytes of point.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def public(key: Path) -> bytes:
    """The public half in PEM. Raises Refused where the file is no such key, or others may read it."""
    if not key.is_file():
        raise Refused(f"{key} is not there", fix=MAKE_ONE)
    if key.stat().st_mode & 0o077:
        raise Refused(f"{key} can be read by others", fix=f"chmod 600 {key}")
    done = _openssl("pkey", "-in", str(key), "-pubout", "-passin", "pass:")
    if done.returncode or b"BEGIN PUBLIC KEY" not in done.stdout:
        raise Refused(f"{key} is no private key without a password", why=_said(done), fix=MAKE_ONE)
    if not base64.b64decode(b"".join(done.stdout.splitlines()[1:-1])).startswith(_P256):
        raise Refused(
            f"{key} is no EC P-256 key", why="cosign and skopeo read no other's signatures", fix=MAKE_ONE
        )
    return done.stdout


def sign(key: Path, data: bytes) -> bytes:
    """An ASN.1 ECDSA signature."""
    done = _openssl("dgst", "-sha256", "-sign", str(key), given=data)
    if done.returncode:
        raise Failed(f"cannot sign with {key}", why=_said(done))
    return done.stdout


def verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    """Did the owner of the private half sign exactly this?"""
    with tempfile.TemporaryDirectory() as folder:
        key, signed = Path(folder, "key.pem"), Path(folder, "signature")
        key.write_bytes(public_key)
        signed.write_bytes(signature)
        return not _openssl(
            "dgst", "-sha256", "-verify", str(key), "-signature", str(signed), given=data
        ).returncode


def _openssl(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        raise Failed(
            "openssl is not installed", fix="apt-get install openssl, or publish --unsigned"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The reason in OpenSSL's last line, `ID:error:CODE:library:function:reason:file:line:more`."""
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    fields = last.split(":")
    return fields[5] if len(fields) > 6 and fields[1] == "error" else last[-200:]
