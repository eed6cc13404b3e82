"""skopeo reads Slipway's signatures with other code: this host's program if it can, else Debian 13's.

Debian built skopeo with containers-image's disable-sigstore.patch until 5.30.2 (skopeo 1.15), so Debian 12's cannot.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

# The files of the package and its dependencies that are needed: the program, the loader and the libraries.
_NEEDED = ("./usr/bin/skopeo", "./usr/lib/*-linux-gnu*/*.so*")
_NO_SIGSTORE = b"Debian-local change: sigstore disabled"


def installed() -> list[str]:
    """Return the command if this host has a skopeo that reads sigstore signatures, else []."""
    path = shutil.which("skopeo")
    return [path] if path and _NO_SIGSTORE not in Path(path).read_bytes() else []


def unpacked(folder: Path) -> list[str]:
    """Return the command for Debian 13's skopeo below `folder`, unpacked if needed; [] if that fails."""
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            if not _unpack(Path(place)):
                return []
            Path(place, "root").rename(folder)
    loader = next(folder.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    return [str(loader), "--library-path", str(loader.parent), str(folder / "usr/bin/skopeo")]


def _unpack(place: Path) -> bool:
    """Unpack with mmdebstrap, which also makes Slipway's base (images/build/debian_base.py)."""
    tar = place / "skopeo.tar"
    words = ["mmdebstrap", "--variant=extract", "--quiet", "--include=skopeo"]
    done = subprocess.run([*words, "trixie", str(tar)], capture_output=True, check=False, timeout=300)
    if done.returncode:
        return False
    with tarfile.open(tar) as content:
        members = [member for member in content if any(fnmatch(member.name, name) for name in _NEEDED)]
        content.extractall(place / "root", members, filter="tar")
    return True


def error_of_copy(command: Sequence[str], image: str, public: Path, folder: Path) -> str:
    """Pull an image that this key must have signed to `folder/pulled`; return skopeo's error or ""."""
    host = image.partition("/")[0]
    rule = {"type": "sigstoreSigned", "keyPath": str(public), "signedIdentity": {"type": "matchRepository"}}
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {host: [rule]}}}
    (folder / "policy.json").write_text(json.dumps(policy))
    (folder / "registries.d").mkdir(exist_ok=True)
    settings = {"docker": {host: {"use-sigstore-attachments": True}}}
    (folder / "registries.d" / "slipway.yaml").write_text(json.dumps(settings))
    words = ["--policy", str(folder / "policy.json"), "--registries.d", str(folder / "registries.d"), "copy"]
    words += ["--src-tls-verify=false", f"docker://{image}", f"dir:{folder / 'pulled'}"]
    # As root, skopeo would leave a cache in /var/lib/containers.
    env = {**os.environ, "_CONTAINERS_ROOTLESS_UID": "1000", "XDG_DATA_HOME": str(folder)}
    done = subprocess.run(
        [*command, *words], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stderr.strip() if done.returncode else ""
