"""Read recipes from a Git repository with the user's own git, as data only.

Nothing is checked out, so that no hook, filter, submodule, symbolic link or attribute of the repository counts: git
fetches objects into an empty bare repository, and the files are read from these by their hashes.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from errors import Failed
from launch.recipe_sources.limits import (
    FILES,
    FOLDERS,
    MAX_FILES,
    MAX_LISTING,
    MAX_PACK,
    MIB,
    check_path,
    check_sizes,
    is_recipe_file,
    refused,
)
from launch.recipe_sources.location import Location
from launch.spec.control_characters import one_line

SECONDS = 300.0
SSH_FAILED = "Could not read from remote repository."
PINNED = "refs/slipway/pinned"
HEX = frozenset("0123456789abcdef")
CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",  # one pack, which the limit of a file's size stops
    "transfer.unpackLimit=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.version=2",
)
# What a user sets to reach a host. All other variables of git name repositories and programs for other purposes.
KEPT = (
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
)


def fetch(location: Location, revision: str, repository: Path) -> str:
    """Fetch a branch, tag or commit (default: the repository's own branch) and return its commit.

    `repository` becomes a bare repository. Raises Failed if git cannot fetch it, Refused if it is too large.
    """
    _git(location, "init", "--quiet", "--bare", "--template=", "--", str(repository))
    is_commit = len(revision) in (40, 64) and HEX.issuperset(revision)
    everything = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
    wanted = everything if is_commit else (f"{revision or 'HEAD'}:{PINNED}",)
    words = ("fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-write-fetch-head")
    _git(location, *words, "--", location.url, *wanted, repository=repository)
    name = revision if is_commit else PINNED
    try:
        found = _git(
            location, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", repository=repository
        )
        return found.decode().strip()
    except Failed:
        fix = f"git ls-remote {location.url}"
        raise Failed(f"'{location.url}' has no commit '{revision}'", fix=fix) from None


def follows(location: Location, old: str, new: str, repository: Path) -> bool:
    """Return whether the history of a fetched commit contains an older one."""
    try:
        _git(location, "merge-base", "--is-ancestor", old, new, repository=repository)
    except Failed:
        return False
    return True


def read_files(location: Location, commit: str, repository: Path) -> dict[str, bytes]:
    """Return the recipes of a commit by their paths. Raises Refused for links, and for too many or too large files."""
    words = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *FOLDERS, *FILES)
    listing = _git(location, *words, repository=repository, limit=MAX_LISTING)
    entries = list(_entries(listing))
    sizes = {path: size for path, _, size in entries}
    if len(sizes) != len(entries):
        raise refused("it has a path twice")
    check_sizes(sizes)
    objects = "".join(f"{name}\n" for _, name, _ in entries).encode()
    data = _git(location, "cat-file", "--batch", repository=repository, data=objects)
    return dict(_contents(data, entries))


def _entries(listing: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield path, object and size of each recipe, strategy and table."""
    for line in listing.split(b"\0")[:-1]:
        head, _, raw = line.partition(b"\t")
        mode, kind, name, size = head.decode("ascii").split()
        try:
            path = raw.decode()
        except UnicodeDecodeError:
            raise refused(f"the path {raw[:80]!a} is not UTF-8") from None
        check_path(path)
        if mode == "120000":
            raise refused(f"{path} is a symbolic link")
        if kind == "blob" and is_recipe_file(path):
            yield path, name, int(size)


def _contents(data: bytes, entries: list[tuple[str, str, int]]) -> Iterator[tuple[str, bytes]]:
    """Split the output of cat-file: a line with the size, the content, an end of line."""
    start = 0
    for path, _, size in entries:
        start = data.index(b"\n", start) + 1
        yield path, data[start : start + size]
        start += size + 1


def _git(
    location: Location,
    *words: str,
    repository: Path | None = None,
    data: bytes = b"",
    limit: int = 0,
) -> bytes:
    """Run git and return its output. Its whole process group ends with it.

    Raises Failed with git's message. Raises Refused if a file that it writes, also its output, exceeds `limit` bytes
    (0: MAX_PACK).
    """
    limit = limit or MAX_PACK
    options = [word for setting in CONFIG for word in ("-c", setting)]
    place = [f"--git-dir={repository}"] if repository else []
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _run(["git", *options, *place, *words], location, (data, limit), (out, err))
        out.seek(0)
        err.seek(0)
        if code == -signal.SIGXFSZ or (code and repository and _is_cut(repository, limit)):
            size = f"{MAX_PACK // MIB} MiB with its history, and {MAX_FILES:,} recipes"
            raise refused(f"it is too large: the limit is {size}")
        if code:
            raise _error(location, err.read(MIB).decode(errors="replace"))
        return out.read()


def _is_cut(repository: Path, limit: int) -> bool:
    """Return whether a pack has reached the limit. The program that writes it dies, and git does not say why."""
    return any(path.stat().st_size >= limit for path in (repository / "objects" / "pack").glob("tmp_pack_*"))


def _run(
    argv: list[str], location: Location, bounds: tuple[bytes, int], files: tuple[IO[bytes], IO[bytes]]
) -> int:
    data, limit = bounds
    try:
        process = subprocess.Popen(
            argv,
            env=_environment(location),
            stdin=subprocess.PIPE,
            stdout=files[0],
            stderr=files[1],
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Failed("git is not installed", fix="sudo apt-get install git") from None
    try:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        process.communicate(data, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        why = f"git has not finished after {SECONDS:.0f} s"
        raise Failed(f"cannot fetch '{location.url}'", why=why, fix=f"git ls-remote {location.url}") from None
    finally:
        _end(process)
    return process.returncode


def _environment(location: Location) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in KEPT}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **kept,
        "GIT_ALLOW_PROTOCOL": location.protocol,  # also for redirects
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it started, which may outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _error(location: Location, printed: str) -> Failed:
    lines = [one_line(line) for line in printed.splitlines() if line.strip()]
    own = [line.partition(": ")[2] for line in lines if line.startswith(("fatal: ", "error: "))]
    why = own[0] if own else one_line(printed)
    if why == SSH_FAILED:  # ssh printed the reason itself, in the lines before
        why = ". ".join(line.rstrip(".") for line in lines[: lines.index(f"fatal: {why}")]) or why
    return Failed(f"cannot fetch '{location.url}'", why=why[:300], fix=f"git ls-remote {location.url}")
