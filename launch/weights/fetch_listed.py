"""The program of a Job that fetches a model in a cluster: the files of a given manifest, every byte verified.

It needs only what an image with vLLM has, and is told everything by its arguments and variables:
`fetch MANIFEST`, HF_ENDPOINT, HF_HUB_CACHE, HF_TOKEN. Each line that it prints is a JSON object: the progress, then
`done` or `error`. `launch/deploy/fetch_job.py` reads them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from errors import Failed, SlipwayError
from launch.http.retry import RetryPolicy
from launch.weights import manifest as manifests
from launch.weights.fetch import execute
from launch.weights.fetch_plan import plan_fetch
from launch.weights.manifest import Manifest
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from launch.weights.sources.listed import ListedFiles

EVERY = 2.0  # seconds between two lines
# What Kubernetes copies into the status of a pod that has ended.
TERMINATION = Path("/dev/termination-log")


class ProgressLines:
    """Prints the progress, at most one line in EVERY seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: TransferProgress) -> None:
        """Print a line if it is time for one."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            _print({"done": progress.done, "total": progress.total, "note": progress.note})


def main(argv: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Fetch the files of the manifest that the arguments name. Return the exit status."""
    (path,) = sys.argv[1:] if argv is None else argv
    try:
        found = fetch(Path(path), environ)
    except SlipwayError as error:
        _end({"error": error.what, "why": error.why, "fix": error.fix})
        return 1
    _end({"commit": found.commit, "files": found.files, "fetched": found.fetched})
    return 0


def fetch(path: Path, environ: Mapping[str, str]) -> Snapshot:
    """Fetch what is missing of a manifest's files, and return the verified snapshot. Raises Failed or Refused."""
    listed = _read(path)
    source = ListedFiles.at(environ["HF_ENDPOINT"], listed, environ.get("HF_TOKEN", "").strip())
    plan = plan_fetch(
        listed.model,
        source,
        revision=listed.revision,
        cache=Path(environ["HF_HUB_CACHE"]),
        digest=listed.digest,
    )
    return execute(plan, source, policy=RetryPolicy(), on_progress=ProgressLines())


def _read(path: Path) -> Manifest:
    try:
        return manifests.parse(path.read_bytes())
    except (OSError, ValueError, TypeError, KeyError) as error:
        fix = "invoke deploy makes it again"
        raise Failed(f"cannot read the list of files '{path}'", why=str(error), fix=fix) from error


def _end(result: dict[str, object]) -> None:
    _print(result)
    with contextlib.suppress(OSError):  # outside a cluster there is no such file
        if TERMINATION.exists():
            TERMINATION.write_text(json.dumps(result))


def _print(values: dict[str, object]) -> None:
    print(json.dumps(values), flush=True)
