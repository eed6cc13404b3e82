"""The verbs for weights: fetch, verify, serve-weights."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, emit, say, show
from commands.shared_options import Cache, DryRun, Format, Lock, Model, Revision
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.hub_server.catalog import Catalog
    from launch.weights.fetch_plan import FetchPlan
    from launch.weights.snapshot import Snapshot
    from launch.weights.source import Source
    from launch.weights.verify import Report

Patterns = tuple[str, ...]
SHOWN = 5  # lines about the files of one model


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

    folder = _cache("fetch", model, cache)
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


def _cache(verb: str, model: str, cache: str) -> Path | None:
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


@verb()
def verify(
    c: Context,
    model: Model = "",
    revision: Revision = "",
    cache: Cache = "",
    lock: Lock = "",
    deep: Annotated[bool, Option("hash every byte instead of checking for changes")] = False,
    repair: Annotated[bool, Option("fetch missing and damaged files again")] = False,
    schedule: Annotated[
        bool, Option("print a systemd timer and a cron line that run this command every week, and do nothing")
    ] = False,
    format: Format = "text",
) -> None:
    """Check, offline, that a model in the cache is complete and was not changed.

    invoke verify MiniMaxAI/MiniMax-M2 --deep
    invoke verify ./folder --deep       (of hf download --local-dir)
    """
    from launch.operations.demo_model import endpoint_for
    from launch.operations.locked_models import wanted_weights
    from launch.weights.snapshot import verify_command
    from launch.weights.verify import verify_model

    if model.startswith((".", "/", "~")):
        if repair or schedule or revision or cache or lock:
            raise Refused(f"'{model}' is a folder, with which only --deep and --format can be used")
        _verify_folder(model, deep, format)
        return
    folder = _cache("verify", model, cache)
    weights = wanted_weights(model, revision, lock)
    if schedule:
        show(_schedule(model, weights.revision, folder, deep, repair))
        return
    with endpoint_for(model if repair else "") as endpoint, bar(f"verify {model}") as progress:
        report = verify_model(
            model,
            revision=weights.revision,
            digest=weights.digest,
            cache=folder,
            deep=deep,
            repair=repair,
            endpoint=endpoint,
            on_progress=progress.transfer,
        )
    for line in report.repaired:
        say(f"repaired: {line}")
    _show_report(report, verify_command(model, weights.revision, folder), format)


def _verify_folder(given: str, deep: bool, format: str) -> None:
    """Check a folder of `hf download --local-dir`."""
    from launch.weights.verify import verify_folder

    path = Path(given).expanduser()
    if not path.is_dir():
        raise Refused(f"no such folder: '{given}'", fix="invoke verify ORGANIZATION/NAME")
    with bar(f"verify {given}") as progress:
        report = verify_folder(path, deep=deep, on_progress=progress.transfer)
    _show_report(report, shlex.join(["invoke", "verify", given]), format, is_folder=True)


def _show_report(report: Report, command: str, format: str, is_folder: bool = False) -> None:
    """Print the result. Raises Failed for files that are not the listed ones; `command` is the one that was run."""
    if format == "json":
        emit(report.as_dict())
    if not report.ok:
        raise _not_verified(report, command, is_folder)
    if format == "text":
        since = report.snapshot.verified
        checked = (
            "every byte"
            if report.deep
            else f"unchanged since {since}, when every byte was; --deep does it again"
        )
        show(f"{report.snapshot.files} files are verified ({checked})\n{report.snapshot.path}")


def _schedule(model: str, revision: str, cache: Path | None, deep: bool, repair: bool) -> str:
    """Return the timer for this command, with this host's program and cache."""
    from commands.program_name import command
    from launch.weights.cache import ModelFolder, cache_folder
    from launch.weights.schedule import schedule

    folder = ModelFolder((cache or cache_folder()).absolute(), model)
    folder.commit(revision)  # raises Refused for an invalid revision
    words = ("--revision", revision, "--cache", str(folder.cache), *["--deep"] * deep, *["--repair"] * repair)
    return schedule(model, (*command(), "verify", model, *words), Path.cwd())


def _not_verified(report: Report, command: str, is_folder: bool = False) -> Failed:
    """Return the error for a snapshot that is not known to be complete, with the next command."""
    from launch.weights.snapshot import lines_of

    found, faults = report.snapshot, report.faults
    name, why = f"{found.model} at {found.commit[:12]}", lines_of(faults)
    if faults and all(one.kind == "changed" for one in faults):
        return Failed(f"{name} was changed since it was verified", why=why, fix=f"{command} --deep")
    if not report.known:
        also = f"; {why}" if faults else ""
        why = f"it has no manifest, because another tool downloaded it{also}"
        repair = "--repair" if faults and not is_folder else "--deep"
        return Failed(f"{name} was never verified", why=why, fix=f"{command} {repair}")
    if not is_folder and all(one.kind == "unverified" for one in faults):
        fix = command.replace(
            "verify", "fetch", 1
        )  # its listing has the hashes; what is right is not transferred
        return Failed(f"{len(faults)} of {found.files} files cannot be verified offline", why=why, fix=fix)
    what = f"{len(faults)} of {found.files} files are missing or damaged"
    if is_folder:
        where = shlex.join(["--revision", found.commit, "--local-dir", str(found.path)])
        return Failed(what, why=why, fix=f"hf download ORGANIZATION/NAME {where}")
    return Failed(what, why=why, fix=f"{command}{' --deep' * report.deep} --repair")


@verb()
def serve_weights(
    c: Context,
    folder: Annotated[
        str,
        Option(
            "folder that contains organization/name/... for each model, or a cache (default: the Hugging Face cache)",
            metavar="FOLDER",
            positional=True,
        ),
    ] = "",
    host: Annotated[str, Option("address to listen on", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[
        int, Option("port to listen on; 0 selects a free one", metavar="PORT", short="p", maximum=65535)
    ] = 8090,
    token_file: Annotated[
        str, Option("require clients to send the token stored in this file", metavar="PATH")
    ] = "",
) -> None:
    """Serve models as a Hugging Face Hub, for hosts without internet access.

    A cache is served with the commits and hashes of its source; the files of a folder are hashed first.
    """
    from launch import paths
    from launch.hub_server import serve_catalog
    from launch.hub_server.catalog import Catalog, require_models
    from launch.hub_server.file_hashes import FileHashes
    from launch.weights.cache import cache_folder
    from launch.weights.login import read_token

    served = require_models(Path(folder).expanduser() if folder else cache_folder())
    token = read_token(Path(token_file)) if token_file else ""
    catalog = Catalog(served, FileHashes(paths.cache_dir() / "served-hashes.json"))
    _read_models(catalog)
    try:
        with serve_catalog(catalog, host=host, port=port, token=token) as hub:
            say(f"serving {served}; stop with Ctrl-C")
            url = hub.url.replace("//0.0.0.0:", f"//{socket.gethostname()}:")
            print(f"export HF_ENDPOINT={url}", flush=True)
            hub.wait()
    except OSError as error:
        fix = f"invoke serve-weights {folder} --port 0"
        raise Failed(f"cannot listen on {host}:{port}", why=str(error), fix=fix) from error


def _read_models(catalog: Catalog) -> None:
    """Read every model before the first request, and name what is not served."""
    from launch.weights.progress import amount

    names = catalog.names()
    with bar(f"read {catalog.folder}") as progress:
        for index, name in enumerate(names):
            hashed = 0

            def show(count: int, index: int = index, name: str = name) -> None:
                nonlocal hashed
                hashed += count
                progress.update(index, len(names), f"{name}: {amount(hashed)} hashed")

            catalog.hashes.on_bytes = show
            for repository in catalog.read(name).repositories.values():
                _name_problems(name, repository.problems)
    catalog.hashes.on_bytes = lambda count: None


def _name_problems(model: str, problems: tuple[str, ...]) -> None:
    for line in problems[:SHOWN]:
        say(f"{model}: not served: {line!a}" if not line.isprintable() else f"{model}: {line}")
    if len(problems) > SHOWN:
        say(f"{model}: and {len(problems) - SHOWN} more files are not served")
