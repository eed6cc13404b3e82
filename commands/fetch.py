"""`invoke fetch`: download a model into the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, emit, say
from commands.shared_options import Cache, DryRun, Format, Lock, Model, Revision
from commands.task import verb
from errors import Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.weights.fetch_plan import FetchPlan
    from launch.weights.snapshot import Snapshot
    from launch.weights.source import Source

Patterns = tuple[str, ...]


@verb()
def fetch(
    c: Context,
    model: Model = "",
    revision: Revision = "",
    include: Annotated[Patterns, Option("fetch only files that match this pattern", metavar="PATTERN")] = (),
    exclude: Annotated[Patterns, Option("skip files that match this pattern", metavar="PATTERN")] = (),
    cache: Cache = "",
    lock: Lock = "",
    from_: Annotated[
        str, Option("fetch from a bundle, a folder, or the URL of a bundle or a Hub", metavar="SOURCE")
    ] = "",
    bundle: Annotated[
        str, Option("then write the snapshot to this file, for a host without a network", metavar="PATH")
    ] = "",
    streams: Annotated[
        int, Option("number of parallel connections", setting=True, minimum=1, maximum=32)
    ] = 8,
    xet: Annotated[
        bool, Option("download large files with hf_xet; they are verified like all other files")
    ] = False,
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Download a model into the Hugging Face cache and verify every byte.

    An interrupted download continues where it stopped.
    """
    from launch.http.retry import RetryPolicy
    from launch.operations.locked_models import wanted_weights
    from launch.weights.bundle.write import require_target
    from launch.weights.fetch import execute, is_offline
    from launch.weights.fetch_plan import plan_fetch
    from launch.weights.snapshot import require_complete
    from launch.weights.sources.xet import Xet

    folder = cache_of("fetch", model, cache)
    weights = wanted_weights(model, revision, lock)
    if weights.digest:
        say(f"{model}: commit {weights.revision} of the lock file")
    if bundle:
        require_target(Path(bundle))
    if is_offline() and not from_:
        say("HF_HUB_OFFLINE is set: checking the cache only")
        found = require_complete(model, weights.revision, folder, weights.digest)
        if bundle:
            _bundle(found, folder, Path(bundle))
        _show_snapshot(found, format)
        return
    with _source(from_, model) as source:
        plan = plan_fetch(
            model,
            source,
            revision=weights.revision,
            include=include,
            exclude=exclude,
            cache=folder,
            digest=weights.digest,
        )
        if dry_run:
            emit(plan.as_dict()) if format == "json" else _show_plan(plan)
            return
        say(f"{model} at {plan.manifest.commit[:12]}, license: {plan.manifest.licence or 'not stated'}")
        with bar(f"fetch {model}") as progress:
            by_xet = Xet(plan.manifest.source) if xet and not from_ else None
            found = execute(
                plan, source, workers=streams, policy=RetryPolicy(), xet=by_xet, on_progress=progress.transfer
            )
    if bundle:
        _bundle(found, folder, Path(bundle))
    _show_snapshot(found, format)


def cache_of(verb: str, model: str, cache: str) -> Path | None:
    """Return the folder of the cache. Raises Refused if no model is given."""
    if not model:
        raise Refused("no model is given", fix=f"invoke {verb} MiniMaxAI/MiniMax-M2")
    return Path(cache).expanduser() if cache else None


@contextmanager
def _source(given: str, model: str) -> Iterator[Source]:
    """Yield the source that `--from` names, else the Hub; the built-in model has a Hub of its own."""
    from launch.operations.demo_model import endpoint_for
    from launch.weights.sources.hub import Hub, endpoint_of
    from launch.weights.sources.offline import source_of

    if given:
        yield source_of(given, model)
        return
    with endpoint_for(model) as endpoint:
        yield Hub(model, endpoint_of(endpoint))


def _show_plan(plan: FetchPlan) -> None:
    from launch.weights.progress import amount

    missing = {entry.blob for entry in plan.missing}
    for entry in plan.manifest.wanted:
        print(f"{'fetch' if entry.blob in missing else 'here':6}{amount(entry.size):>11}  {entry.path}")
    manifest = plan.manifest
    print(f"{manifest.model} at {manifest.commit}, license: {manifest.licence or 'not stated'}")
    print(f"{amount(plan.to_fetch)} of {amount(manifest.size)} to fetch into {plan.folder.path}")


def _bundle(found: Snapshot, cache: Path | None, file: Path) -> None:
    from launch.weights.bundle.write import write_bundle

    with bar(f"bundle {file.name}") as progress:
        write_bundle(found, cache, file, progress.transfer)
    say(f"{file}: on the other host, run `invoke fetch {found.model} --from {file.name}`")


def _show_snapshot(found: Snapshot, format: str) -> None:
    from launch.weights.progress import amount

    if format == "json":
        emit(found.as_dict())
        return
    print(f"{found.model} at {found.commit}")
    print(f"{found.files} files, {amount(found.bytes)} ({amount(found.fetched)} fetched now), all verified")
    print(found.path)
