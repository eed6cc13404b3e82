"""skopeo: other people's code that reads our signatures. This host's where it can, else Debian 13's.

Debian builds it with containers-image's disable-sigstore.patch until 5.30.2 (skopeo 1.15): so Debian 12's cannot.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

# What of the package and its dependencies runs it: the program, the loader and the libraries beside it.
_WANTED = ("./usr/bin/skopeo", "./usr/lib/*-linux-gnu*/*.so*")


def installed() -> list[str]:
    """The command, if this host has a skopeo that reads sigstore signatures."""
    found = shutil.which("skopeo")
    return (
        [found] if found and b"Debian-local change: sigstore disabled" not in Path(found).read_bytes() else []
    )


def unpacked(folder: Path) -> list[str]:
    """The command for Debian 13's skopeo below `folder`, unpacked there the first time; [] where that fails."""
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            if not _unpack(Path(place)):
                return []
            Path(place, "root").rename(folder)
    loader = next(folder.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    return [str(loader), "--library-path", str(loader.parent), str(folder / "usr/bin/skopeo")]


def _unpack(place: Path) -> bool:
    """mmdebstrap makes the base of our own images too (images/build/debian_base.py): no package scripts run."""
    tar = place / "skopeo.tar"
    words = ["mmdebstrap", "--variant=extract", "--quiet", "--include=skopeo"]
    done = subprocess.run([*words, "trixie", str(tar)], capture_output=True, check=False, timeout=300)
    if done.returncode:
        return False
    with tarfile.open(tar) as opened:
        members = [m for m in opened if any(fnmatch(m.name, wanted) for wanted in _WANTED)]
        opened.extractall(place / "root", members, filter="tar")
    return True


def refusal(command: Sequence[str], image: str, public: Path, folder: Path) -> str:
    """Why skopeo does not pull what only this key may have signed; "" where it lies in `folder/pulled` now."""
    host = image.partition("/")[0]
    rule = {"type": "sigstoreSigned", "keyPath": str(public), "signedIdentity": {"type": "matchRepository"}}
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {host: [rule]}}}
    (folder / "policy.json").write_text(json.dumps(policy))
    (folder / "registries.d").mkdir(exist_ok=True)
    place = {"docker": {host: {"use-sigstore-attachments": True}}}
    (folder / "registries.d" / "ours.yaml").write_text(json.dumps(place))
    words = ["--policy", str(folder / "policy.json"), "--registries.d", str(folder / "registries.d"), "copy"]
    words += ["--src-tls-verify=false", f"docker://{image}", f"dir:{folder / 'pulled'}"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60)
    return done.stderr.strip() if done.returncode else ""
