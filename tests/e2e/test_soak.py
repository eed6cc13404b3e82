"""A supervised vLLM under load, with a fault every few minutes: `pytest -m slow tests/e2e/test_soak.py`.

It runs on a simulated host with a Docker of its own, because some faults end the container engine or fill a disk.
SLIPWAY_SOAK_MINUTES sets the length (default: 60). The table is printed, and written to SLIPWAY_SOAK_REPORT if set.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SERVER, absent
from tests.e2e.conftest import WANTED
from tests.e2e.soak.faults import FAULTS, STATE, Fault, server
from tests.e2e.soak.load import Request, read
from tests.hosts.engines import start_docker
from tests.hosts.simulated_host import CannotSimulate, SimulatedHost, end, simulated_host

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(0),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can simulate a host: run this test as root"),
]
PORT = "8000"  # of the host's own loopback
PAUSE = 180  # seconds of load between an answer after a fault and the next one
LONGEST_OUTAGE = 420  # seconds; above it the test fails


@dataclass(frozen=True)
class Row:
    """One fault: what was recorded, what was lost, and the memory of the server (MiB)."""

    fault: str
    reason: str
    cause: str
    outage: float | None  # seconds; None if no request was lost
    lost: int
    memory_before: int
    memory_after: int


@dataclass
class Soak:
    """A host with a supervised server and a load on it."""

    host: SimulatedHost
    log: Path
    began: float = field(default_factory=time.time)
    rows: list[Row] = field(default_factory=list)

    def cause(self, fault: Fault) -> None:
        """Cause one fault, and wait until the server answers again."""
        before, memory, events = time.time(), resident_mib(self.host), len(self.deaths())
        undo = fault(self.host)
        done = time.time()
        try:
            served = self.answered_after(done + 1)
        finally:
            if undo:
                undo()
        lost = [one for one in read(self.log) if before <= one.ended <= served and not one.answered]
        died = self.deaths()[events:]
        reason, cause = (died[-1]["reason"], died[-1]["cause"]) if died else ("", "")
        outage = served - before if lost else None
        name = fault.__name__.replace("_", " ").replace("kill 9", "kill -9")
        after = resident_mib(self.host)
        self.rows.append(Row(name, reason, cause, outage, len(lost), memory, after))

    def answered_after(self, moment: float) -> float:
        """Return when the first answer came to a request that was sent after a moment."""
        while True:
            for one in read(self.log):
                if one.answered and one.sent >= moment:
                    return one.ended
            if time.time() - moment > LONGEST_OUTAGE:
                raise AssertionError(f"no answer for {LONGEST_OUTAGE} s:\n{self.events()}")
            time.sleep(0.5)

    def events(self) -> str:
        return self.host.invoke("events", SERVER).out

    def deaths(self) -> list[dict[str, str]]:
        found = self.host.invoke("events", SERVER, "--format", "json")
        return [one for one in (found.json if found.code == 0 else []) if one["kind"] == "died"]


@pytest.fixture
def host(engine: DockerClient, cpu_image: str, hub_cache: Path) -> Iterator[SimulatedHost]:
    """A host with Docker, the CPU image, a small disk for the state folder, and a supervised server."""
    try:
        with simulated_host({"HF_HUB_CACHE": str(hub_cache), "SLIPWAY_STATE_DIR": STATE}) as new:
            start_docker(new)
            copy_image(engine, cpu_image, new)
            (new.root / STATE.lstrip("/")).mkdir()
            new.run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", STATE).ok()
            new.invoke("run", *WANTED, "--port", PORT).ok()
            new.invoke("supervise", SERVER, "--hang-after", "30", "--max-restarts", "20").ok()
            yield new
            new.invoke("stop", SERVER)
    except CannotSimulate as reason:
        absent(f"this machine cannot simulate a host: {reason}")


def copy_image(engine: DockerClient, name: str, host: SimulatedHost) -> None:
    """Load an image of this machine's engine into the engine of a host."""
    file = host.folder / "image.tar"
    with file.open("wb") as written:
        for chunk in engine.images.get(name).save(named=True):
            written.write(chunk)
    with file.open("rb") as read_again:
        host.engine().images.load(read_again)
    file.unlink()


@contextmanager
def load(host: SimulatedHost, seconds: float) -> Iterator[Path]:
    """Run the clients on the host; yield the file in which they record each request."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-soak-"))
    file = folder / "requests.jsonl"
    words = ("-m", "tests.e2e.soak.load", f"http://127.0.0.1:{PORT}", str(file), str(seconds))
    clients = subprocess.Popen(host.argv(sys.executable, *words), env=host.env)
    try:
        yield file
    finally:
        end(clients)
        shutil.rmtree(folder)


def resident_mib(host: SimulatedHost) -> int:
    """Return the memory of the server's processes: `anon` in control groups v2, `total_rss` in v1."""
    facts = server(host).stats(stream=False)
    assert isinstance(facts, dict)
    memory = facts["memory_stats"]["stats"]
    return int(memory.get("anon", memory.get("total_rss", 0))) >> 20


def test_a_supervised_server_serves_again_after_every_fault(host: SimulatedHost) -> None:
    seconds = 60 * float(os.environ.get("SLIPWAY_SOAK_MINUTES", "60"))
    with load(host, seconds + LONGEST_OUTAGE) as log:
        soak = Soak(host, log)
        first = resident_mib(host)
        try:
            cause_faults(soak, seconds)
        finally:  # a fault that the server does not survive leaves the table of the others
            report(table(soak.rows, read(log), time.time() - soak.began, first), soak.events())
    assert soak.rows


def cause_faults(soak: Soak, seconds: float) -> None:
    """Cause one fault after the other, with time to serve between them."""
    pause = min(PAUSE, seconds / len(FAULTS) / 2)
    for fault in itertools.cycle(FAULTS):
        if time.time() + pause - soak.began > seconds:
            return
        time.sleep(pause)
        soak.cause(fault)


def report(text: str, events: str) -> None:
    """Print the table, and write it with the recorded events if a file is named."""
    print(text)
    if path := os.environ.get("SLIPWAY_SOAK_REPORT"):
        Path(path).write_text(f"{text}\n{events}")


def table(rows: list[Row], requests: list[Request], seconds: float, first: int) -> str:
    """Format what happened."""
    lines = [
        "| Fault | Recorded reason | Serves again after | Requests lost | Memory before, after |",
        "|---|---|---|---|---|",
        *(format_row(row) for row in rows),
    ]
    answered = [one for one in requests if one.answered]
    down = sum(row.outage or 0 for row in rows)
    lines += [
        "",
        f"Served {100 * (1 - down / seconds):.1f} % of {seconds / 60:.0f} minutes. "
        f"{len(answered)} of {len(requests)} requests were answered, {len(requests) - len(answered)} were lost, "
        f"{sum(not one.right for one in answered)} answers had another text. {len(rows)} faults. "
        f"Memory of the server: {first} MiB at first, {rows[-1].memory_after if rows else first} MiB at the end.",
    ]
    return "\n".join(lines) + "\n"


def format_row(row: Row) -> str:
    """Format one fault."""
    reason = f"{row.reason}; {row.cause}" if row.cause else row.reason or "none: it served on"
    outage = "no interruption" if row.outage is None else f"{row.outage:.0f} s"
    memory = f"{row.memory_before}, {row.memory_after} MiB"
    return f"| {row.fault} | {reason} | {outage} | {row.lost} | {memory} |"
