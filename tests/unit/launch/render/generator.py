"""Podman's own Quadlet generator, and the words of the command that systemd makes of what it writes.

`python -m tests.unit.launch.render.generator` unpacks the generator of Debian 13 for hosts whose podman has none.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[4] / ".pytest_cache" / "d" / "quadlet" / "trixie"
PLACES = (Path("/usr/libexec/podman/quadlet"), Path("/usr/lib/podman/quadlet"), CACHE)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "s": " "}


def installed() -> Path | None:
    """Return the generator of this host, or the unpacked one."""
    return next((path for path in PLACES if path.is_file()), None)


def service(generator: Path, folder: Path, unit: str) -> str:
    """Return the service that the generator makes of one unit file, or what it says if it refuses the file."""
    (folder / "server.container").write_text(unit)
    done = subprocess.run(
        [generator, "-dryrun", "-user"],
        env={**os.environ, "QUADLET_UNIT_DIRS": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout if done.returncode == 0 and "ExecStart=" in done.stdout else f"refused: {done.stderr}"


def command(text: str) -> list[str]:
    """Return the words of ExecStart as systemd reads them; variables stay as ${NAME}."""
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    found = re.findall(r'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t]+))', line.removeprefix("ExecStart="))
    assert ("", ";") not in found  # systemd would start a second command
    return [_expanded(_unescaped(quoted) if quoted else plain) for quoted, plain in found]


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", one, text)


def _expanded(word: str) -> str:
    assert not re.search(r"(?<!%)(?:%%)*%[^%]", word) or word.startswith(("--cidfile=", "systemd-%")), word
    return word.replace("%%", "%").replace("$$", "$")


def _unpack(target: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        tar = Path(place) / "podman.tar"
        words = ["mmdebstrap", "--variant=extract", "--quiet", "--include=podman", "trixie", str(tar)]
        subprocess.run(words, check=True, timeout=300)
        with tarfile.open(tar) as content:
            content.extract("./usr/libexec/podman/quadlet", place, filter="data")
        target.parent.mkdir(parents=True, exist_ok=True)
        (Path(place) / "usr/libexec/podman/quadlet").rename(target)


if __name__ == "__main__":
    _unpack(CACHE)
