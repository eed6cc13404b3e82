"""`invoke fetch`: download a model into the cache."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.fetch_output import FORMATS, progress_of, reported, show_plan, show_snapshot
from commands.output import discard_output, say
from commands.shared_options import OUTPUT, Cache, DryRun, Lock, Model, Revision
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.weights.fetch_plan import FetchPlan
    from launch.weights.snapshot import Snapshot
    from launch.weights.source import Source
    from launch.weights.sources.named import Named
    from launch.weights.sources.several import SeveralSources

Patterns = tuple[str, ...]
STDOUT = "-"


def _rate(label: str, given: str) -> int:
    from launch.weights.transfer.rate_limit import parse

    return parse(label, given)


def _time(label: str, given: str) -> str:
    from launch.weights.start_time import parse

    return parse(label, given)


@verb()
def fetch(
    c: Context,
    model: Model = "",
    revision: Revision = "",
    include: Annotated[Patterns, Option("fetch only files that match this pattern", metavar="PATTERN")] = (),
    exclude: Annotated[Patterns, Option("skip files that match this pattern", metavar="PATTERN")] = (),
    cache: Cache = "",
    lock: Lock = "",
    source: Annotated[
        tuple[str, ...],
        Option(
            "fetch from hub, modelscope, a bundle, a folder or a URL (repeatable: the first one that answers lists the"
            " files, the fastest ones send them)",
            metavar="SOURCE",
        ),
    ] = (),
    from_: Annotated[str, Option("the same as one --source", metavar="SOURCE")] = "",
    bundle: Annotated[
        str,
        Option(
            "then write the snapshot to this file, for a host without a network; - is standard output",
            metavar="PATH",
        ),
    ] = "",
    streams: Annotated[
        int, Option("number of parallel connections", setting=True, minimum=1, maximum=32)
    ] = 8,
    limit_rate: Annotated[
        int,
        Option(
            "most bytes per second of all connections together, e.g. 50M",
            metavar="RATE",
            setting=True,
            parse=_rate,
        ),
    ] = 0,
    at: Annotated[
        str, Option("wait until this time of the day, e.g. 02:00", metavar="HH:MM", parse=_time)
    ] = "",
    xet: Annotated[
        bool, Option("download large files with hf_xet; they are verified like all other files")
    ] = False,
    dry_run: DryRun = False,
    format: Annotated[
        str,
        Option(
            "output format; jsonl: progress and result, a JSON object a line", choices=FORMATS, group=OUTPUT
        ),
    ] = "text",
) -> None:
    """Download a model into the Hugging Face cache and verify every byte.

    An interrupted download continues where it stopped.

    invoke fetch MiniMaxAI/MiniMax-M2
    invoke fetch MiniMaxAI/MiniMax-M2 --source hub --source modelscope --limit-rate 50M
    """
    from launch.http.retry import RetryPolicy
    from launch.operations.locked_models import wanted_weights
    from launch.weights.fetch import execute, is_offline
    from launch.weights.fetch_plan import plan_fetch
    from launch.weights.snapshot import require_complete
    from launch.weights.sources.named import POLICY
    from launch.weights.sources.several import SeveralSources
    from launch.weights.sources.xet import Xet
    from launch.weights.transfer.rate_limit import RateLimit

    folder = cache_of("fetch", model, cache)
    sources = _sources(source, from_)
    _require_possible(sources.texts, bundle, format, xet, limit_rate)
    weights = wanted_weights(model, revision, lock)
    if weights.digest:
        say(f"{model}: commit {weights.revision} of the lock file")
    if is_offline() and not sources.texts:
        say("HF_HUB_OFFLINE is set: checking the cache only")
        with reported(format):
            found = require_complete(model, weights.revision, folder, weights.digest)
            _finish(found, folder, bundle, format)
        return
    with reported(format), _source(sources, model, weights.digest) as chosen:

        def planned() -> FetchPlan:
            return plan_fetch(
                model,
                chosen,
                revision=weights.revision,
                include=include,
                exclude=exclude,
                cache=folder,
                digest=weights.digest,
            )

        plan = planned()
        if dry_run:
            show_plan(plan, format)
            return
        if at:
            _wait(at)
            plan = planned()
        say(f"{model} at {plan.manifest.commit[:12]}, license: {plan.manifest.licence or 'not stated'}")
        several = chosen if isinstance(chosen, SeveralSources) else None
        with progress_of(f"fetch {model}", "fetch", format) as show:
            found = execute(
                plan,
                chosen,
                workers=streams,
                policy=POLICY if several else RetryPolicy(),
                xet=Xet(plan.manifest.source) if xet else None,
                limit=RateLimit(limit_rate) if limit_rate else None,
                on_progress=show,
            )
        if several:
            _say_shares(several)
        _finish(found, folder, bundle, format)


def cache_of(verb: str, model: str, cache: str) -> Path | None:
    """Return the folder of the cache. Raises Refused if no model is given."""
    if not model:
        raise Refused("no model is given", fix=f"invoke {verb} MiniMaxAI/MiniMax-M2")
    return Path(cache).expanduser() if cache else None


def _sources(source: tuple[str, ...], from_: str) -> Named:
    from launch.weights.sources.named import Named

    if source and from_:
        raise Refused("--source and --from cannot be used together", fix=f"--source {from_}")
    return Named((from_,), "--from", own_token=True) if from_ else Named(source)


def _require_possible(sources: Sequence[str], bundle: str, format: str, xet: bool, limit_rate: int) -> None:
    """Raise Refused for options that exclude each other, before hours of fetching."""
    from launch.weights.bundle.write import require_target
    from launch.weights.fetch import is_offline
    from launch.weights.sources.named import HUB

    if HUB in sources and is_offline():
        raise Refused("--source hub cannot be used", why="HF_HUB_OFFLINE is set", fix="unset HF_HUB_OFFLINE")
    if xet and tuple(sources) not in ((), (HUB,)):
        raise Refused("--xet fetches from the Hub only", fix="leave out --source, or --xet")
    if xet and limit_rate:
        raise Refused("--xet cannot limit its rate", fix="leave out --xet, or --limit-rate")
    if bundle == STDOUT and format != "text":
        raise Refused(f"--bundle - and --format {format} both need stdout", fix="--bundle FILE")
    if bundle == STDOUT and sys.stdout.isatty():
        raise Refused(
            "--bundle - would write a bundle to the terminal", fix="--bundle FILE, or add | COMMAND"
        )
    if bundle and bundle != STDOUT:
        require_target(Path(bundle))


@contextmanager
def _source(sources: Named, model: str, digest: str) -> Iterator[Source]:
    """Yield the source of the files: those that are named, else the Hub; the built-in model has a Hub of its own."""
    from launch.operations.demo_model import endpoint_for
    from launch.weights.sources.hub import Hub, endpoint_of
    from launch.weights.sources.named import HUB

    if sources.texts and HUB not in sources.texts:
        yield sources.sources(model, None, digest)
        return
    with endpoint_for(model) as endpoint:
        if sources.texts:
            yield sources.sources(model, endpoint, digest)
        else:
            yield Hub(model, endpoint_of(endpoint))


def _wait(at: str) -> None:
    """Wait until the time of the day, and say until when."""
    from launch.weights.start_time import next_time, wait_until

    now = datetime.now().astimezone()
    moment = next_time(at, now)
    minutes = round((moment - now).total_seconds() / 60)
    say(f"waiting until {moment:%Y-%m-%d %H:%M %Z} ({minutes // 60} h {minutes % 60} min); Ctrl-C ends it")
    wait_until(moment)


def _say_shares(several: SeveralSources) -> None:
    from launch.weights.progress import amount

    shares = several.shares()
    if shares:
        parts = ", ".join(f"{amount(count)} from {name}" for name, count in shares.items())
        say(f"files listed by {several.listed_by}; {parts}")


def _finish(found: Snapshot, cache: Path | None, bundle: str, format: str) -> None:
    """Write the bundle, then print the result."""
    from launch.weights.bundle.write import stream_bundle, write_bundle

    if bundle:
        with progress_of(f"bundle {bundle}", "bundle", format) as show:
            if bundle == STDOUT:
                try:
                    stream_bundle(found, cache, sys.stdout.buffer, show)
                except Failed:
                    discard_output(sys.stdout)  # what is buffered would fail again at the end
                    raise
            else:
                write_bundle(found, cache, Path(bundle), show)
    if bundle and bundle != STDOUT:
        file = Path(bundle).name
        say(f"{bundle}: on the other host, run `invoke fetch {found.model} --from {file}`")
    show_snapshot(found, format, on_stdout=bundle != STDOUT)
