"""Decide which commit of the weights is fetched, verified and served: the user's, the lock's, or the cached one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from launch.operations.demo_model import MODEL as BUILTIN
from launch.operations.demo_model import endpoint_for
from launch.spec.inputs import Host, ModelCommit
from launch.weights.cache import MODEL, ModelFolder, cache_folder
from launch.weights.model_info import shape
from launch.weights.snapshot import require_complete

if TYPE_CHECKING:
    from images.lock.check import CheckedInput
    from images.lock.schema import LockedModel

SOURCE = "lock file: models"


@dataclass(frozen=True)
class WantedWeights:
    """The revision to have in the cache, and the digest of its file list if the lock has one."""

    revision: str
    digest: str = ""


def locked_models(lock: str = "") -> Mapping[str, LockedModel]:
    """Return the models of a lock file; by default of Slipway's own."""
    from images.lock import lockfile

    return lockfile.load_models(Path(lock or lockfile.LOCK))


def wanted_weights(model: str, revision: str = "", lock: str = "") -> WantedWeights:
    """Return what to fetch or verify: the given revision, else the locked commit, else `main`."""
    locked = locked_models(lock).get(model)
    if locked and revision in ("", locked.commit):
        return WantedWeights(locked.commit, locked.manifest)
    return WantedWeights(revision or "main")


def with_commit(host: Host, model: str, revision: str, *, cached: bool, lock: str = "") -> Host:
    """Return the host with the commit that a server of this model loads, and with the shape of its snapshot."""
    found = commit_of(model, revision, cached=cached, lock=lock)
    if found is None:
        return host
    own = shape(ModelFolder(cache_folder(), model).snapshot(found.commit))
    shapes = {**host.shapes, model: own} if own else host.shapes
    return replace(host, commits={model: found}, shapes=shapes)


def commit_of(model: str, revision: str, *, cached: bool, lock: str = "") -> ModelCommit | None:
    """Return the commit of the weights; None if this host does not know it yet.

    `cached`: if neither the user nor the lock names one, take the complete snapshot in the cache, so that a restart
    serves the same files after `main` has moved. Raises Refused for an invalid revision.
    """
    if not MODEL.fullmatch(model):
        return None
    locked = locked_models(lock).get(model)
    if revision:
        commit = ModelFolder(cache_folder(), model).commit(revision)
        replaced = f"; replaces {locked.commit[:12]} ({SOURCE})" if locked and locked.commit != commit else ""
        return ModelCommit(commit, "user", f"revision {revision}{replaced}") if commit else None
    if locked:
        return ModelCommit(locked.commit, SOURCE, "the locked commit of the weights")
    if not cached:
        return None
    try:
        why = "the snapshot in the cache; a later fetch does not change what a restart serves"
        return ModelCommit(require_complete(model).commit, "cache: refs/main", why)
    except Failed:
        return None


def pin_model(model: str, revision: str, today: date) -> LockedModel:
    """Ask the Hub for the commit of a revision and for the files at that commit. Raises Failed or Refused."""
    from images.lock.schema import LockedModel
    from launch.weights.sources.hub import Hub, endpoint_of

    ModelFolder(cache_folder(), model).commit(revision or "main")  # raises Refused for an invalid name
    with endpoint_for(model) as endpoint:
        manifest = Hub(model, endpoint_of(endpoint)).manifest(revision or "main")
    place = (
        "built into Slipway" if model == BUILTIN and endpoint else f"{manifest.revision} at {manifest.source}"
    )
    return LockedModel(commit=manifest.commit, manifest=manifest.digest, source=f"{place}, {today}")


def check_models(models: Mapping[str, LockedModel]) -> Iterator[CheckedInput]:
    """Yield each locked commit with its state: whether the Hub still has it, with the same files."""
    from images.lock.check import ask

    for model, locked in models.items():
        fix = f"invoke pin --model {model} pins the newest commit"
        yield ask(f"models.{model}", locked.commit, partial(_find, model, locked), fix)


def _find(model: str, locked: LockedModel) -> None:
    from launch.http.client import NotFound
    from launch.http.retry import RetryPolicy
    from launch.weights.sources.hub import Hub, endpoint_of

    with endpoint_for(model) as endpoint:
        manifest = Hub(model, endpoint_of(endpoint), RetryPolicy(attempts=2)).manifest(locked.commit)
    if manifest.digest != locked.manifest:
        raise NotFound(
            f"{model} has other files at this commit", why=f"the digest of the file list is {manifest.digest}"
        )
