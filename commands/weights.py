"""The verbs for weights: login, logout, fetch, verify, models, serve-weights."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.options import Cache, DryRun, Format, Model, Revision
from commands.output import bar, emit, say, show, table
from commands.task import verb
from errors import Failed, Refused, SlipwayError
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.weights.fetch_plan import Order
    from launch.weights.snapshot import Snapshot
    from launch.weights.sources.source import Source

Patterns = tuple[str, ...]


@verb()
def login(
    c: Context,
    token_file: Annotated[
        str, Option("read the token from this file instead of asking for it; - is stdin", metavar="PATH")
    ] = "",
) -> None:
    """Log in to the Hugging Face Hub.

    The token is checked, then stored where `hf auth login` stores it.
    """
    from launch.weights.login import checked_token, log_in, read_token

    if token_file:
        token = read_token(Path("/dev/stdin" if token_file == "-" else token_file))
    else:
        token = checked_token(_ask_token())
    name, path = log_in(token)
    print(f"logged in as {name}; the token is stored in {path}, readable only by you")


def _ask_token() -> str:
    from getpass import getpass

    if not sys.stdin.isatty():
        why = "stdin is not a terminal"
        raise Refused("cannot ask for the token", why=why, fix="invoke login --token-file FILE")
    return getpass("token (not shown): ").strip()


@verb()
def logout(c: Context) -> None:
    """Log out of the Hugging Face Hub: remove the stored token."""
    from launch.weights.login import log_out

    removed = log_out()
    print("\n".join(f"removed {path}" for path in removed) or "no token is stored")
    if os.environ.get("HF_TOKEN"):
        say("HF_TOKEN is set in the environment and is still used")


@verb()
def fetch(
    c: Context,
    model: Model = "",
    revision: Revision = "main",
    include: Annotated[Patterns, Option("fetch only files that match this pattern", metavar="PATTERN")] = (),
    exclude: Annotated[Patterns, Option("skip files that match this pattern", metavar="PATTERN")] = (),
    cache: Cache = "",
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
    from launch.weights import check
    from launch.weights.bundle import require_target
    from launch.weights.fetch import carry_out, is_offline
    from launch.weights.fetch_plan import plan
    from launch.weights.sources.xet import Xet

    folder = _cache(model, cache)
    if bundle:
        require_target(Path(bundle))
    if is_offline() and not from_:
        say("HF_HUB_OFFLINE is set: checking the cache only")
        found = check(model, revision, folder)
        if bundle:
            _bundle(found, folder, Path(bundle))
        _show_snapshot(found, format)
        return
    source = _source(from_, model)
    order = plan(model, source, revision=revision, include=include, exclude=exclude, cache=folder)
    if dry_run:
        emit(order.as_dict()) if format == "json" else _show_order(order)
        return
    say(f"{model} at {order.manifest.commit[:12]}, license: {order.manifest.licence or 'not stated'}")
    with bar(f"fetch {model}") as progress:
        by_xet = Xet(order.manifest.source, say) if xet and not from_ else None
        found = carry_out(
            order, source, streams=streams, patience=RetryPolicy(), xet=by_xet, show=progress.transfer
        )
    if bundle:
        _bundle(found, folder, Path(bundle))
    _show_snapshot(found, format)


def _cache(model: str, cache: str) -> Path | None:
    """The folder of the cache. Raises Refused if no model is named."""
    if not model:
        raise Refused("no model is given", fix="invoke fetch MiniMaxAI/MiniMax-M2")
    return Path(cache).expanduser() if cache else None


def _source(given: str, model: str) -> Source:
    from launch.weights.sources.hub import Hub, endpoint_of
    from launch.weights.sources.offline import source_of

    return source_of(given, model, say) if given else Hub(model, endpoint_of(), say=say)


def _show_order(order: Order) -> None:
    from launch.weights.progress import amount

    missing = {entry.blob for entry in order.bring}
    for entry in order.manifest.wanted:
        print(f"{'fetch' if entry.blob in missing else 'here':6}{amount(entry.size):>11}  {entry.path}")
    manifest = order.manifest
    print(f"{manifest.model} at {manifest.commit}, license: {manifest.licence or 'not stated'}")
    print(f"{amount(order.to_fetch)} of {amount(manifest.size)} to fetch into {order.place.folder}")


def _bundle(found: Snapshot, cache: Path | None, file: Path) -> None:
    from launch.weights.bundle import write_bundle

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
    revision: Revision = "main",
    cache: Cache = "",
    deep: Annotated[bool, Option("hash every byte instead of checking names and sizes")] = False,
    repair: Annotated[bool, Option("fetch missing and damaged files again")] = False,
    format: Format = "text",
) -> None:
    """Check, offline, that a model in the cache is complete."""
    from launch import weights

    folder = _cache(model, cache)
    with bar(f"verify {model}") as progress:
        report = weights.verify(
            model, revision=revision, cache=folder, deep=deep, repair=repair, show=progress.transfer
        )
    if format == "json":
        emit(report.as_dict())
    for line in report.mended:
        say(f"repaired: {line}")
    if report.bad:
        words = ["invoke", "verify", model]
        words += ["--revision", revision] if revision != "main" else []
        words += ["--cache", str(folder)] if folder else []
        fix = shlex.join([*words, *["--deep"] * deep, "--repair"])
        what = f"{len(report.bad)} of {report.snapshot.files} files are missing or damaged"
        raise Failed(what, why="; ".join(report.bad), fix=fix)
    if format == "text":
        checked = "every byte" if deep else "names and sizes; --deep checks every byte"
        show(f"{report.snapshot.files} files are complete ({checked})\n{report.snapshot.path}")


@verb()
def models(
    c: Context,
    remove: Annotated[str, Option("remove this model from the cache", metavar="MODEL")] = "",
    cache: Cache = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """List the models in the Hugging Face cache, with their sizes and what is verified."""
    from launch.weights.cached_models import cached_models, remove_model
    from launch.weights.progress import amount

    folder = Path(cache).expanduser() if cache else None
    if remove:
        _refuse_in_use(remove)
        removed = remove_model(remove, folder, dry_run=dry_run)
        if format == "json":
            emit({"model": remove, "path": str(removed.path), "bytes": removed.bytes, "removed": not dry_run})
        else:
            print(f"{'would remove' if dry_run else 'removed'} {removed.path} ({amount(removed.bytes)})")
        return
    found = cached_models(folder)
    if format == "json":
        emit([snapshot.as_dict() for snapshot in found])
    elif found:
        rows = [(m.model, m.revision, m.commit[:12], amount(m.bytes), m.state) for m in found]
        show(table(("MODEL", "REVISION", "COMMIT", "SIZE", "VERIFIED"), rows))
    else:
        say("The cache holds no models. Download one with `invoke fetch MODEL`.")


def _refuse_in_use(model: str) -> None:
    """Raises Refused if a server of this host serves the model."""
    from launch.engine.client import connect
    from launch.engine.servers import list_servers

    try:
        names = [s.name for s in list_servers(connect()) if s.model == model and s.status == "running"]
    except SlipwayError:  # without an engine nothing runs
        return
    if names:
        raise Refused(f"'{model}' is in use by the server '{names[0]}'", fix=f"invoke stop {names[0]}")


@verb()
def serve_weights(
    c: Context,
    folder: Annotated[
        str,
        Option(
            "folder that contains organization/name/... for each model",
            metavar="FOLDER",
            positional=True,
            required=True,
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
    """Serve a folder of models as a Hugging Face Hub, for hosts without internet access."""
    from launch.hub_server import serve_folder
    from launch.hub_server.repository import nameless
    from launch.weights.login import read_token

    if not Path(folder).is_dir():
        raise Refused(f"folder '{folder}' does not exist", fix="invoke serve-weights FOLDER")
    token = read_token(Path(token_file)) if token_file else ""
    for name in nameless(Path(folder)):
        say(f"not served, because it is not a valid name on a Hub: {name!a}")
    try:
        with serve_folder(Path(folder), host=host, port=port, token=token) as hub:
            say(f"serving {folder}; stop with Ctrl-C")
            url = hub.url.replace("//0.0.0.0:", f"//{socket.gethostname()}:")
            print(f"export HF_ENDPOINT={url}", flush=True)
            hub.wait()
    except OSError as error:
        fix = f"invoke serve-weights {folder} --port 0"
        raise Failed(f"cannot listen on {host}:{port}", why=str(error), fix=fix) from error
