"""Measure one run: load the server from inside its container, then judge and describe what came out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean, median, quantiles

from errors import Failed, SlipwayError
from launch.bench import counters, result, server, validity
from launch.bench.canary import Canary
from launch.bench.counters import Counters
from launch.bench.load_client import LoadClient, saving
from launch.bench.presets import Preset, fresh_tokens, load_of, percentile_needs, sampling_of
from launch.bench.record import Record, Status
from launch.bench.result import Result
from launch.bench.stall import StallWatch
from launch.bench.target import Target
from launch.bench.validity import CanaryAnswer, Facts
from launch.bench.warmup import warm_up

SAVE_EVERY = 2.0  # seconds between two updates of the record of a run that has not ended
_STATE_SECONDS = 2.0  # the load ends with its container, and the engine tells a little later that it ended
_NOT_ENDED = "the run has not ended; the host or this program was stopped"

Show = Callable[[float, float | None, str], None]  # done, total, a note
Save = Callable[[Record], object]


@dataclass(frozen=True)
class Workload:
    """What to send: a preset, its command for the model, and the factor by which it was scaled."""

    name: str
    preset: Preset
    argv: tuple[str, ...]
    scale: float = 1.0


@dataclass(frozen=True)
class Repeat:
    """One run of a group: its number and how many there are, the requests that warmed the server up, its prompts."""

    group: str
    number: int = 1
    of: int = 1
    warmed: int = 0
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31 - 1) + 1)  # never 0, vLLM's default


@dataclass(frozen=True)
class Measured:
    """A record with the compressed values of each request, which belong into a file of their own."""

    record: Record
    requests: bytes = b""


def prepare(target: Target, workload: Workload, show: Show) -> int:
    """Warm the server up before the first run and return the number of requests. Raises Failed."""
    show(0, None, "warm-up")
    return warm_up(target.url, target.model, load_of(workload.preset, workload.argv), target.key)


def measure(target: Target, workload: Workload, repeat: Repeat, show: Show, save: Save) -> Measured:
    """Measure one run. A run that fails, or whose server ends, has a record too, which is void.

    `save` gets a provisional record before the load starts and while it runs, so that a killed client leaves one.
    Raises Failed before the load starts, and KeyboardInterrupt after the record of the interrupted run was saved.
    """
    canary = Canary(target.url, target.model, target.key, server.recipe_of(target.model) is not None)
    before = canary.before()
    run = _Run(target, _provisional(target, workload, repeat), show, save)
    save(run.record)
    try:
        loaded = _load(run, workload)
    except KeyboardInterrupt:
        save(run.ended("interrupted", "it was interrupted"))
        raise
    except SlipwayError as error:
        return Measured(run.failed(error))
    return _judged(run, workload, loaded, canary.after(before))


def _provisional(target: Target, workload: Workload, repeat: Repeat) -> Record:
    """Return the record of a run that has not ended."""
    load, id = load_of(workload.preset, workload.argv), secrets.token_hex(6)
    described = target.instance.describe(target.instance.start_id())
    return Record(
        id=id,
        group=repeat.group,
        repeat=repeat.number,
        repeats=repeat.of,
        time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        status="interrupted",
        preset=workload.name,
        preset_source=workload.preset.source,
        scale=workload.scale,
        argv=saving(workload.argv, repeat.seed, target.port, _file(id)),
        seed=repeat.seed,
        load=load.model_copy(update={"warmup_requests": repeat.warmed}),
        sampling=sampling_of(workload.argv, described.vllm),
        validity=validity.void("complete", _NOT_ENDED),
        server=described,
        slipway=_own_version(),
    )


def _file(id: str) -> str:
    """Return the file of the result in the container."""
    return f"/tmp/slipway-bench-{id}.json"


@dataclass
class _Run:
    """One run in progress: its record so far, the requests that have finished, and the readings of the host."""

    target: Target
    record: Record
    show: Show
    save: Save
    finished: int = 0
    _first: float = 0.0  # when the first request was sent, time.monotonic
    _saved: float = 0.0

    def __post_init__(self) -> None:
        target = self.target
        self.watch = target.instance.watch(target.gpus, target.neighbours)

    def client(self) -> LoadClient:
        """Return the client of this run."""
        requests = self.record.load.requests
        return LoadClient(self.target, requests, _file(self.record.id), self._progressed, self._started)

    def _started(self, pid: int) -> None:
        self.watch.client_pid = pid

    def _progressed(self, done: int) -> None:
        """Show and save the progress. Readings start with the first request: the client takes seconds to start."""
        now = time.monotonic()
        if not self._first:
            self._first = now
            self.watch.restart()
        self.watch.tick()
        self.finished = done
        rate = done / (now - self._first) if now > self._first else 0.0
        total = self.record.load.requests
        self.show(done, total, f"{done}/{total} requests, {rate:.1f}/s")
        if now - self._saved >= SAVE_EVERY:
            self._saved = now
            with suppress(Failed):  # the figures will be shown, whether they can be recorded or not
                self.save(self.record.model_copy(update={"finished_requests": done}))

    def ended(self, status: Status, why: str) -> Record:
        """Return the record of a run without a result."""
        sentence = f"{why} after {self.finished} of {self.record.load.requests} requests"
        changes = {
            "status": status,
            "finished_requests": self.finished,
            "validity": validity.void("complete", sentence),
            "host": self.watch.host(self.target.hardware, self.record.server.container.cpus),
        }
        return self.record.model_copy(update=changes)

    def failed(self, error: SlipwayError) -> Record:
        """Return the record of a run that ended with an error; a server that is gone interrupted it."""
        deadline = time.monotonic() + _STATE_SECONDS
        while not (gone := self.gone()) and time.monotonic() < deadline:
            time.sleep(0.1)
        if gone:
            return self.ended("interrupted", gone)
        return self.ended("failed", f"{error.what}: {error.why}" if error.why else error.what)

    def gone(self) -> str:
        """Return what happened to the server; "" if it still runs as before."""
        return self.target.instance.gone(self.record.server.start_id)


@dataclass(frozen=True)
class _Loaded:
    """What a load left: the command that ran, vLLM's result, and the server's counters before and after."""

    argv: tuple[str, ...]
    result: Result
    before: Counters
    after: Counters
    clock_step: float  # seconds that the host's clock moved more than time passed


def _load(run: _Run, workload: Workload) -> _Loaded:
    """Load the server. Raises Failed."""
    client, record = run.client(), run.record
    wall, steady = time.time(), time.monotonic()
    before = counters.settled(lambda: counters.read(run.target.url))
    run.watch.read()
    argv = _run_watched(client, record.argv, workload.preset.spelled_out(record.argv))
    run.watch.read()
    after = counters.settled(lambda: counters.read(run.target.url))
    step = (time.time() - wall) - (time.monotonic() - steady)
    return _Loaded(argv, result.parse(client.result(), record.load.requests), before, after, step)


def _run_watched(client: LoadClient, argv: tuple[str, ...], spelled_out: tuple[str, ...]) -> tuple[str, ...]:
    """Run the client, and end it if the server hangs. Raises Failed."""
    with StallWatch(lambda: counters.steps(client.target.url), client.end) as watch:
        try:
            return client.run(argv, spelled_out)
        except Failed:
            if watch.reason:
                raise Failed(watch.reason, fix="invoke logs") from None
            raise


def _judged(run: _Run, workload: Workload, loaded: _Loaded, canary: tuple[CanaryAnswer, ...]) -> Measured:
    """Return the record of a run with a result."""
    record, target, found = run.record, run.target, loaded.result
    facts = Facts(
        load=record.load,
        result=found,
        metrics=counters.between(loaded.before, loaded.after),
        host=run.watch.host(target.hardware, record.server.container.cpus),
        fresh_tokens=fresh_tokens(workload.preset, workload.argv),
        fixed_output=record.sampling.ignore_eos,
        canary=canary,
        on_gpu=target.on_gpu,
        scaled=workload.scale < 1,
        gone=run.gone(),
        clock_step=loaded.clock_step,
    )
    changes = {
        "status": "complete",
        "argv": loaded.argv,
        "finished_requests": found.completed,
        "validity": validity.judge(facts),
        "result": found.values,
        "metrics": facts.metrics,
        "host": facts.host,
        "latency_from_schedule_ms": latency_from_schedule(found, record.load.request_rate),
    }
    requests = result.sidecar(found) if found.requests else b""
    return Measured(record.model_copy(update=changes), requests)


def latency_from_schedule(found: Result, rate: float | None) -> dict[str, float]:
    """Return the latency that a user sees who sends at a rate, in ms: it includes the time in the client's queue."""
    times = [(request.latency + request.queue) * 1000 for request in found.answered]
    if rate is None or not times:
        return {}
    shown = {"mean": fmean(times), "median": median(times)}
    if len(times) >= percentile_needs(99):
        shown["p99"] = quantiles(times, n=100, method="inclusive")[98]
    return shown


def _own_version() -> str:
    try:
        return version("slipway")
    except PackageNotFoundError:
        return ""
