"""Measure one run: warm up, load the server from inside its container, and judge and describe what came out.

The exit status of vLLM's client is 0 even if every request failed, so its result is judged, not its status.
"""

from __future__ import annotations

import re
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
from launch.bench.host import HostWatch
from launch.bench.presets import Preset, fresh_tokens, load_of, percentile_needs, sampling_of
from launch.bench.record import Host, Record, Server, Status
from launch.bench.result import Result, UnusableResult
from launch.bench.target import Target
from launch.bench.validity import CanaryAnswer, Facts
from launch.bench.warmup import warm_up
from launch.engine import usage
from launch.engine.attached_exec import execute_attached
from launch.engine.client import execute

SAVE_EVERY = 2.0  # seconds between two updates of the record of a run that has not ended
_READS = 3
_PROGRESS = re.compile(r"(\d+)/(\d+) \[")  # tqdm
_UNKNOWN_OPTION = re.compile(r"unrecognized arguments|ambiguous option")
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
    run = _Run(target, workload, repeat, show, save)
    canary = Canary(target.url, target.model, target.key, server.recipe_of(target.model) is not None)
    before = canary.before()
    run.begin()
    try:
        found = run.load()
    except KeyboardInterrupt:
        save(run.ended("interrupted", "it was interrupted"))
        raise
    except SlipwayError as error:
        return Measured(run.failed(error))
    return run.judged(found, canary.after(before))


@dataclass
class _Run:
    """One run in progress."""

    target: Target
    workload: Workload
    repeat: Repeat
    show: Show
    save: Save
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    finished: int = 0
    _saved: float = 0.0
    _loaded: float = 0.0  # when the first request was sent, time.monotonic

    def __post_init__(self) -> None:
        target = self.target
        self.server: Server = server.describe(
            target.client, target.container, server.start_id(target.container)
        )
        self.argv = (*self.workload.argv, "--seed", str(self.repeat.seed), *self._plumbing())
        self.watch = HostWatch(
            target.gpus,
            lambda: usage.cpu_seconds(target.client, target.container),
            target.neighbours,
        )

    def _plumbing(self) -> tuple[str, ...]:
        """Return the options that do not change the load: where the server is and what to save."""
        return (
            *("--port", str(self.target.port), "--save-result", "--save-detailed"),
            *("--result-dir", "/tmp", "--result-filename", self._file.removeprefix("/tmp/")),
            *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "90,95,99"),
            # vLLM 0.11 else sends the first prompt twice, and reads it from its cache the second time.
            *("--ready-check-timeout-sec", "0"),
        )

    @property
    def _file(self) -> str:
        return f"/tmp/slipway-bench-{self.id}.json"

    def begin(self) -> None:
        """Make and save the record of a run that has not ended."""
        workload, argv = self.workload, self.workload.argv
        self.record = Record(
            id=self.id,
            group=self.repeat.group,
            repeat=self.repeat.number,
            repeats=self.repeat.of,
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            status="interrupted",
            preset=workload.name,
            preset_source=workload.preset.source,
            scale=workload.scale,
            argv=self.argv,
            seed=self.repeat.seed,
            load=load_of(workload.preset, argv).model_copy(update={"warmup_requests": self.repeat.warmed}),
            sampling=sampling_of(argv),
            validity=validity.void("complete", _NOT_ENDED),
            server=self.server,
            slipway=_own_version(),
        )
        self.save(self.record)

    def load(self) -> Result:
        """Load the server and return vLLM's result. Raises Failed."""
        self._wall, self._steady = time.time(), time.monotonic()
        self.before = counters.settled(lambda: counters.read(self.target.url))
        self.watch.read()
        status, output = self._execute(self.argv)
        if status == 2 and _UNKNOWN_OPTION.search(output) and self.workload.preset.spellings:
            self.argv = self.workload.preset.spelled_out(self.argv)
            self.record = self.record.model_copy(update={"argv": self.argv})
            status, output = self._execute(self.argv)
        self.watch.read()
        self.after = counters.settled(lambda: counters.read(self.target.url))
        if status:
            why = result.last_line(output) or "it printed nothing"
            raise Failed(f"vllm bench serve exited with {status}", why=why, fix="invoke logs")
        return result.parse(self._saved_result(), self.record.load.requests)

    def _execute(self, argv: tuple[str, ...]) -> tuple[int, str]:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        target = self.target
        try:
            return execute_attached(
                target.client, target.container, list(argv), self._line, f"{self._file}.pid", self._started
            )
        except (DockerException, RequestException, OSError) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise Failed("the connection to the container ended", why=reason, fix="invoke ps") from None

    def _started(self, pid: int) -> None:
        self.watch.client_pid = pid

    def _line(self, line: str) -> None:
        """Follow the progress that vLLM's client prints."""
        match = _PROGRESS.search(line)
        if not match:
            return
        done, total = int(match[1]), int(match[2])
        now = time.monotonic()
        if not self._loaded:
            self._loaded = now
            self.watch.restart()
        self.watch.tick()
        self.finished = done
        rate = done / (now - self._loaded) if now > self._loaded else 0.0
        self.show(done, total, f"{done}/{total} requests, {rate:.1f}/s")
        if now - self._saved >= SAVE_EVERY:
            self._saved = now
            with suppress(Failed):  # the figures will be shown, whether they can be recorded or not
                self.save(self.record.model_copy(update={"finished_requests": done}))

    def _saved_result(self) -> str:
        """Return the text of the result. An engine may lose the output of a command that ends at once."""
        client, container = self.target.client, self.target.container
        for _ in range(_READS):
            status, text = execute(client, container, ["cat", self._file])
            if status:
                raise UnusableResult("vllm bench serve saved no result", why=text[:200], fix="invoke logs")
            if text.strip():
                execute(client, container, ["rm", "-f", self._file, f"{self._file}.pid"])
                return text
        raise UnusableResult("vllm bench serve saved an empty result", fix="invoke bench")

    def ended(self, status: Status, why: str) -> Record:
        """Return the record of a run without a result."""
        asked = self.record.load.requests
        sentence = f"{why} after {self.finished} of {asked} requests"
        return self.record.model_copy(
            update={
                "status": status,
                "finished_requests": self.finished,
                "validity": validity.void("complete", sentence),
                "host": self._host(),
            }
        )

    def failed(self, error: SlipwayError) -> Record:
        """Return the record of a run that ended with an error; a server that is gone interrupted it."""
        if gone := self._gone():
            return self.ended("interrupted", gone)
        why = f"{error.what}: {error.why}" if error.why else error.what
        return self.ended("failed", why)

    def _gone(self) -> str:
        """Return what happened to the server's container; "" if it still runs as before."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            if self._restarted():
                return "the server's container was restarted"
            status = self.target.container.status
        except (DockerException, RequestException):
            return "the server's container is gone"
        return "" if status == "running" else f"the server's container ended (its state is '{status}')"

    def _restarted(self) -> bool:
        return server.start_id(self.target.container) != self.server.start_id

    def _host(self) -> Host:
        return self.watch.host(self.target.hardware, self.server.container.cpus)

    def judged(self, found: Result, canary: tuple[CanaryAnswer, ...]) -> Measured:
        """Return the record of a run with a result."""
        metrics, host = counters.between(self.before, self.after), self._host()
        facts = Facts(
            load=self.record.load,
            result=found,
            metrics=metrics,
            host=host,
            fresh_tokens=fresh_tokens(self.workload.preset, self.workload.argv),
            fixed_output=self.record.sampling.ignore_eos,
            canary=canary,
            on_gpu=bool(self.target.gpus),
            scaled=self.workload.scale < 1,
            restarted=self._restarted(),
            clock_step=(time.time() - self._wall) - (time.monotonic() - self._steady),
        )
        record = self.record.model_copy(
            update={
                "status": "complete",
                "finished_requests": found.completed,
                "validity": validity.judge(facts),
                "result": found.values,
                "metrics": metrics,
                "host": host,
                "latency_from_schedule_ms": latency_from_schedule(found, self.record.load.request_rate),
            }
        )
        return Measured(record, result.sidecar(found) if found.requests else b"")


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
