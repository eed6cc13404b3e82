"""Where a recipe source comes from: an address that git may fetch from, or a folder of this host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from errors import Refused
from launch.spec.control_characters import FORBIDDEN

KNOWN = {"vllm": "https://github.com/vllm-project/recipes"}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}", re.ASCII)
_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_HTTPS = re.compile(rf"https://{_HOST}(:\d+)?/\S+", re.ASCII)
_SSH = re.compile(rf"ssh://([A-Za-z0-9_][\w.-]*@)?{_HOST}(:\d+)?/\S+", re.ASCII)
_SCP = re.compile(rf"[A-Za-z0-9_][\w.-]*@{_HOST}:(?!-)\S+", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::?//?|ext::")


@dataclass(frozen=True)
class Location:
    """A place to fetch recipes from. `protocol` is what git may use; "" is a folder that is not a repository."""

    url: str
    protocol: str = ""

    @property
    def is_git(self) -> bool:
        """Return whether git fetches it."""
        return bool(self.protocol)


def check_name(name: str) -> str:
    """Return the name of a source. Raises Refused for a name that cannot be a folder and a word of a message."""
    if not NAME.fullmatch(name):
        why = "a name has up to 40 lowercase letters, digits, '.', '_' and '-', and begins with a letter or digit"
        raise Refused(
            f"'{name[:80]}' is not a name for a recipe source", why=why, fix="invoke recipes add team URL"
        )
    return name


def check_revision(revision: str) -> str:
    """Return a branch, tag or commit, or "". Raises Refused for what cannot be one."""
    if revision and (
        not REVISION.fullmatch(revision) or ".." in revision or revision.endswith((".lock", "/", "."))
    ):
        raise Refused(f"'{revision[:80]}' is not a branch, tag or commit", fix="--revision main")
    return revision


def locate(name: str, given: str) -> Location:
    """Return the location that a user gives, or the known one of this name.

    Raises Refused for another protocol than https, ssh and file, for a password in an address, for a missing folder.
    """
    text = given or KNOWN.get(name, "")
    if not text:
        fix = f"invoke recipes add {name} URL, or a name that is known: {', '.join(KNOWN)}"
        raise Refused(f"recipes add {name} needs an address or a folder", fix=fix)
    if FORBIDDEN.search(text):
        raise Refused(f"{text[:80]!a} has a control character", fix="write the address on one line")
    if protocol := _protocol(text):
        return Location(text, protocol)
    if _SCHEME.match(text) or (text.startswith("-") and not Path(text).exists()):
        raise _no_address(text)
    return _folder(text)


def _protocol(text: str) -> str:
    if _HTTPS.fullmatch(text):
        return "https"
    if _SSH.fullmatch(text) or _SCP.fullmatch(text):
        return "ssh"
    return "file" if text.startswith("file:///") else ""


def _no_address(text: str) -> Refused:
    if re.match(r"https?://[^/]*@", text):
        why = "a password in an address would be stored and shown"
        fix = "git config --global credential.helper store, and an address without it"
        return Refused("the address of a recipe source has a user name or password", why=why, fix=fix)
    why = "recipes are fetched by https, ssh or file, or copied from a folder"
    return Refused(f"'{text[:80]}' is not an address for recipes", why=why, fix="write https://HOST/PATH")


def _folder(text: str) -> Location:
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise Refused(
            f"'{text[:200]}' is not a folder", fix="pass a folder, or an address as https://HOST/PATH"
        )
    bare = (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    if (folder / ".git").exists() or bare:
        return Location(folder.as_uri(), "file")
    return Location(str(folder))
