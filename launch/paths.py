"""Name every folder that Slipway writes to.

They follow the XDG rules (platformdirs); SLIPWAY_STATE_DIR replaces all of them by one folder with
`state/`, `cache/` and `config/` below it. Two places are shared with others and named elsewhere: the Hugging Face
cache (`launch/weights/cache.py`) and the host's lock file for GPUs (`launch/allocation`).
"""

from __future__ import annotations

import os
from pathlib import Path

from errors import Failed, Refused
from launch import atomic_write

OVERRIDE = "SLIPWAY_STATE_DIR"
VERSION = 1  # of the files below state_dir(); raise it when an older Slipway would misread them
_SET_OVERRIDE = f"export {OVERRIDE}=FOLDER, a folder that this user can write to"


def state_dir() -> Path:
    """Return the folder of what Slipway remembers: measured KV caches, saved fixes, results.

    Raises Refused if a newer Slipway wrote it.
    """
    folder = _base("state")
    if (version := _version(folder)) > VERSION:
        raise Refused(
            f"the state in '{folder}' was written by a newer Slipway",
            why=f"it has format {version}; this Slipway reads up to {VERSION}",
            fix=f"upgrade Slipway, or export {OVERRIDE}=FOLDER for a state of its own",
        )
    return folder


def cache_dir() -> Path:
    """Return the folder of what can be made again: build contexts, wheels and caches of servers."""
    return _base("cache")


def server_caches() -> Path:
    """Return the folder of what servers compile. They write to nothing else of this user, and builds do not read it."""
    return cache_dir() / "servers"


def config_dir() -> Path:
    """Return the folder of what the user keeps: the API key."""
    return _base("config")


def results_dir(asked: str = "") -> Path:
    """Return the folder of records for people: benchmarks, logs of stopped servers, tests of images.

    `asked` is the user's own choice, for example `./results`.
    """
    return Path(asked).expanduser().absolute() if asked else state_dir() / "results"


def logs_dir() -> Path:
    """Return the folder of the logs of stopped servers."""
    return results_dir() / "logs"


def writable(folder: Path) -> Path:
    """Create a folder and return it. Raises Failed if this user cannot write there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        state = _base("state")
        if folder.is_relative_to(state) and not (stamp := state / "version").exists():
            atomic_write.write_text(stamp, f"{VERSION}\n")  # other threads and commands read it meanwhile
        why = "" if os.access(folder, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise Failed(f"cannot write to '{folder}'", why=why, fix=_SET_OVERRIDE)
    return folder


def _base(kind: str) -> Path:
    """Return SLIPWAY_STATE_DIR/<kind>, or the user's XDG folder of that kind."""
    if override := os.environ.get(OVERRIDE):
        return Path(override).expanduser().absolute() / kind
    import platformdirs

    find = {
        "state": platformdirs.user_state_path,
        "cache": platformdirs.user_cache_path,
        "config": platformdirs.user_config_path,
    }[kind]
    try:
        folder = find("slipway", appauthor=False)
    except RuntimeError:  # HOME is not set and the user has no entry in /etc/passwd
        folder = Path("~")
    if not folder.is_absolute():
        raise Refused("the home directory of this user is unknown", why="HOME is not set", fix=_SET_OVERRIDE)
    return folder


def _version(folder: Path) -> int:
    """Return the format of the files in a state folder; 0 if nothing has been written yet."""
    stamp = folder / "version"
    try:
        return int(stamp.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it does not hold a number"
        raise Failed(f"cannot read '{stamp}'", why=why, fix=f"rm {stamp}") from None
