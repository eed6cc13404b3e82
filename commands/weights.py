"""`invoke login`, `fetch`, `verify`, `serve-weights`: a model's files, from a Hub to this host, proven."""

from __future__ import annotations

import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.fetch_progress import progress
from commands.output import emit, say
from commands.task import one_of, setting, verb, whole_number
from errors import Failed, Refused

if TYPE_CHECKING:
    from launch.weights.fetch_plan import FetchPlan
    from launch.weights.snapshot import Snapshot
    from launch.weights.sources.source import Source

CACHE = "the Hugging Face cache to use (default: HF_HUB_CACHE, HF_HOME or ~/.cache/huggingface/hub)"


@verb(help={"token-file": "read the token from this file instead of asking for it; - is standard input"})
def login(c: Any, token_file: str = "") -> None:
    """Log in to the Hugging Face Hub: check a token and store it as `hf auth login` does."""
    from launch.weights.login import checked_token, log_in, read_token

    if token_file:
        token = read_token(Path("/dev/stdin" if token_file == "-" else token_file))
    else:
        token = checked_token(_ask_token())
    name, path = log_in(token)
    print(f"logged in as {name}; the token is in {path}, readable by you alone")


def _ask_token() -> str:
    import sys
    from getpass import getpass

    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask for the token on", fix="invoke login --token-file FILE")
    return getpass("token (not shown): ").strip()


@verb(
    help={
        "model": "the model, as organisation/name",
        "revision": "branch, tag or commit (default: main)",
        "include": "fetch only files that match this pattern; may be repeated",
        "exclude": "leave out files that match this pattern; may be repeated",
        "cache": CACHE,
        "from": "fetch from a bundle, a folder, or the address of a bundle or a Hub",
        "bundle": "then write the snapshot into this file, for a host without a network",
        "streams": "how many connections at once (default: 8)",
        "xet": "let hf_xet bring the large files of a repository on Xet storage; proven all the same",
        "dry-run": "show what would be fetched",
        "format": "text or json",
    },
    iterable=["include", "exclude"],
)
def fetch(
    c: Any,
    model: str = "",
    revision: str = "",
    include: list[str] = [],  # noqa: B006 -- invoke's form of a repeatable flag
    exclude: list[str] = [],  # noqa: B006
    cache: str = "",
    from_: str = "",
    bundle: str = "",
    streams: int = 0,
    xet: bool = False,
    dry_run: bool = False,
    format: str = "text",
) -> None:
    """Fetch a model's weights into the Hugging Face cache: resumable, and every byte proven."""
    from launch.http.retry import RetryPolicy
    from launch.weights.bundle.write import require_target
    from launch.weights.fetch import execute, is_offline
    from launch.weights.fetch_plan import plan_fetch
    from launch.weights.snapshot import require_complete
    from launch.weights.sources.xet import Xet
    from launch.weights.transfer.scheduler import WORKERS

    one_of("format", format, ("text", "json"))
    model, revision, folder = _named(c, model, revision, cache)
    count = whole_number("--streams", setting(c, "streams", streams)) or WORKERS
    if not 1 <= count <= 32:
        raise Refused(f"--streams {count} is out of range", fix="1 to 32; 8 is right for most networks")
    if bundle:
        require_target(Path(bundle))
    if is_offline() and not from_:
        say("HF_HUB_OFFLINE is set: looking at what is here")
        found = require_complete(model, revision, folder)
        if bundle:
            _bundle(found, folder, Path(bundle))
        _show_snapshot(found, format)
        return
    source = _source(from_, model)
    order = plan_fetch(
        model, source, revision=revision, include=tuple(include), exclude=tuple(exclude), cache=folder
    )
    if dry_run:
        emit(order.as_dict()) if format == "json" else _show_order(order)
        return
    say(f"{model} at {order.manifest.commit[:12]}, licence: {order.manifest.licence or 'not stated'}")
    with progress(f"fetch {model}") as show:
        by_xet = Xet(order.manifest.source) if xet and not from_ else None
        found = execute(order, source, workers=count, policy=RetryPolicy(), xet=by_xet, on_progress=show)
    if bundle:
        _bundle(found, folder, Path(bundle))
    _show_snapshot(found, format)


def _named(c: Any, model: str, revision: str, cache: str) -> tuple[str, str, Path | None]:
    """The model, revision and cache that flags, configuration or defaults name."""
    model = setting(c, "model", model)
    if not model:
        raise Refused("which model?", fix="add --model organisation/name")
    folder = setting(c, "cache", cache)
    return model, setting(c, "revision", revision) or "main", Path(folder).expanduser() if folder else None


def _source(given: str, model: str) -> Source:
    from launch.weights.sources.hub import Hub, endpoint_of
    from launch.weights.sources.offline import source_of

    return source_of(given, model) if given else Hub(model, endpoint_of())


def _show_order(order: FetchPlan) -> None:
    from launch.weights.progress import amount

    bring = {entry.blob for entry in order.missing}
    for entry in order.manifest.wanted:
        print(f"{'fetch' if entry.blob in bring else 'here':6}{amount(entry.size):>11}  {entry.path}")
    manifest = order.manifest
    print(f"{manifest.model} at {manifest.commit}, licence: {manifest.licence or 'not stated'}")
    print(f"{amount(order.to_fetch)} of {amount(manifest.size)} to fetch into {order.folder.path}")


def _bundle(found: Snapshot, cache: Path | None, file: Path) -> None:
    from launch.weights.bundle.write import write_bundle

    with progress(f"bundle {file.name}") as show:
        write_bundle(found, cache, file, show)
    say(f"{file}: on the other host, invoke fetch --model {found.model} --from {file.name}")


def _show_snapshot(found: Snapshot, format: str) -> None:
    from launch.weights.progress import amount

    if format == "json":
        emit(found.as_dict())
        return
    print(f"{found.model} at {found.commit}")
    print(f"{found.files} files, {amount(found.bytes)} ({amount(found.fetched)} fetched now), each proven")
    print(found.path)


@verb(
    help={
        "model": "the model, as organisation/name",
        "revision": "branch, tag or commit (default: main)",
        "cache": CACHE,
        "deep": "hash every byte, not only names and sizes",
        "repair": "fetch again what is missing or wrong",
        "format": "text or json",
    }
)
def verify(
    c: Any,
    model: str = "",
    revision: str = "",
    cache: str = "",
    deep: bool = False,
    repair: bool = False,
    format: str = "text",
) -> None:
    """Prove offline that a model in the cache is whole; --deep hashes every byte."""
    from launch.weights.verify import verify_model

    one_of("format", format, ("text", "json"))
    model, revision, folder = _named(c, model, revision, cache)
    with progress(f"verify {model}") as show:
        report = verify_model(
            model, revision=revision, cache=folder, deep=deep, repair=repair, on_progress=show
        )
    if format == "json":
        emit(report.as_dict())
    for line in report.repaired:
        say(f"repaired: {line}")
    if report.bad:
        words = ["invoke", "verify", "--model", model]
        words += ["--revision", revision] if revision != "main" else []
        words += ["--cache", str(folder)] if folder else []
        fix = shlex.join([*words, *["--deep"] * deep, "--repair"])
        raise Failed(
            f"{len(report.bad)} of {report.snapshot.files} files are bad", why="; ".join(report.bad), fix=fix
        )
    if format == "text":
        proof = "every byte" if deep else "names and sizes; --deep proves every byte"
        print(f"{report.snapshot.files} files are whole ({proof})\n{report.snapshot.path}")


@verb(
    help={
        "folder": "a folder that holds organisation/name/... for each model",
        "host": "address to listen on",
        "port": "port to listen on; 0 takes a free one",
        "token-file": "let in only who has the token in this file",
    },
)
def serve_weights(
    c: Any, folder: str, host: str = "127.0.0.1", port: int = 8090, token_file: str = ""
) -> None:
    """Serve a folder of models as a Hugging Face Hub, for hosts without the internet."""
    from launch.hub_server import serve_folder
    from launch.hub_server.repository import unservable_files
    from launch.weights.login import read_token

    if not Path(folder).is_dir():
        raise Refused(f"no such folder: {folder}", fix="name one that holds organisation/name/...")
    if not 0 <= port < 1 << 16:
        raise Refused(f"--port {port} is no port", fix="0 to 65535; 0 takes a free one")
    token = read_token(Path(token_file)) if token_file else ""
    for name in unservable_files(Path(folder)):
        say(f"not served, since no Hub has such a name: {name!a}")
    try:
        with serve_folder(Path(folder), host=host, port=port, token=token) as hub:
            say(f"serving {folder}; Ctrl-C ends it")
            print(
                f"export HF_ENDPOINT={hub.url.replace('//0.0.0.0:', f'//{socket.gethostname()}:')}",
                flush=True,
            )
            hub.wait()
    except OSError as error:
        raise Failed(f"cannot listen on {host}:{port}", why=str(error), fix="try --port 0") from error
