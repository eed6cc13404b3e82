"""A supervised vLLM under load, with a fault every few minutes: `pytest -m slow tests/e2e/test_soak.py`.

SLIPWAY_SOAK_MINUTES sets the length (default: 60). The table is printed, and written to SLIPWAY_SOAK_REPORT if set.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from errors import SlipwayError
from launch.serving import openai_client
from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can kill a process of a container from the host"),
]
CLIENTS = 2
PAUSE = 150  # seconds between a fault and the next one
LONGEST_OUTAGE = 240  # seconds; above it the test fails


@dataclass
class Load:
    """Requests of a few clients, one after the other, and how they ended. `outages` are in seconds."""

    url: str
    answered: int = 0
    lost: int = 0
    last_answer: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> None:
        while not self.stop.is_set():
            try:
                text = "".join(d.text for d in openai_client.ask(self.url, MODEL, "Hello", max_tokens=32))
                good = bool(text)
            except SlipwayError:
                good = False
            with self._lock:
                self.answered, self.lost = self.answered + good, self.lost + (not good)
                if good:
                    self.last_answer = time.monotonic()
            self.stop.wait(0.2 if good else 1)


def process(container: Container, name: str) -> int:
    """Return the process ID on the host of a process of the container."""
    table = container.top()
    command, pid = table["Titles"].index("CMD"), table["Titles"].index("PID")
    return int(next(row[pid] for row in table["Processes"] if name in row[command]))


def kill_the_api_server(container: Container) -> None:
    os.kill(process(container, "vllm"), signal.SIGKILL)


def kill_the_engine_core(container: Container) -> None:
    os.kill(process(container, "EngineCore"), signal.SIGKILL)


def kill_the_container(container: Container) -> None:
    container.kill()


def stop_the_engine_core(container: Container) -> None:
    os.kill(process(container, "EngineCore"), signal.SIGSTOP)


def stop_the_api_server(container: Container) -> None:
    os.kill(process(container, "vllm"), signal.SIGSTOP)


def fill_its_memory_disk(container: Container) -> None:
    container.exec_run(["dd", "if=/dev/zero", "of=/tmp/full", "bs=1M"])


FAULTS = (
    kill_the_engine_core,
    kill_the_container,
    stop_the_engine_core,
    kill_the_api_server,
    fill_its_memory_disk,
    stop_the_api_server,
)


@pytest.fixture
def supervised(
    cpu_image: str, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a supervised server; both are ended at the end."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", settings["HF_HUB_CACHE"])
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    port = free_port()
    invoke("run", *WANTED, "--port", port, "--replace").ok()
    invoke("supervise", SERVER, "--hang-after", "30", "--max-restarts", "20").ok()
    yield f"http://127.0.0.1:{port}"
    invoke("stop", SERVER)


def resident_mib(container: Container) -> int:
    facts = container.stats(stream=False)
    assert isinstance(facts, dict)
    return int(facts["memory_stats"]["usage"]) >> 20


def outage(load: Load, since: float) -> float:
    """Wait until an answer that was asked for after `since` came; return the seconds until then."""
    while load.last_answer < since + 1:
        if time.monotonic() - since > LONGEST_OUTAGE:
            raise AssertionError(f"no answer for {LONGEST_OUTAGE} s: {invoke('events', SERVER).out}")
        time.sleep(0.2)
    return load.last_answer - since


def test_a_supervised_server_serves_again_after_every_fault(engine: DockerClient, supervised: str) -> None:
    minutes = float(os.environ.get("SLIPWAY_SOAK_MINUTES", "60"))
    load = Load(supervised)
    clients = [threading.Thread(target=load.client, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    end, rows = time.monotonic() + 60 * minutes, []
    began, down = time.monotonic(), 0.0
    try:
        for fault in itertools.cycle(FAULTS):
            if time.monotonic() + PAUSE > end:
                break
            time.sleep(PAUSE)
            row = one_fault(engine, load, fault)
            down += row[2]
            rows.append(row)
    finally:
        load.stop.set()
        for client in clients:
            client.join(60)
    report = table(rows, load, time.monotonic() - began, down)
    print(report)
    if path := os.environ.get("SLIPWAY_SOAK_REPORT"):
        Path(path).write_text(report)
    assert len(rows) >= min(len(FAULTS), int(60 * minutes / (PAUSE + LONGEST_OUTAGE)))


Row = tuple[str, str, float, int, int]


def one_fault(engine: DockerClient, load: Load, fault: Callable[[Container], None]) -> Row:
    """Cause one fault and return its name, the recorded reason, the outage, the requests lost, and the memory."""
    container, lost, before = engine.containers.get(SERVER), load.lost, time.monotonic()
    fault(container)
    seconds = outage(load, before)
    died = [event for event in invoke("events", SERVER, "--format", "json").json if event["kind"] == "died"]
    reason = died[-1]["reason"] if died else "no restart"
    memory = resident_mib(engine.containers.get(SERVER))
    return fault.__name__.replace("_", " "), reason, seconds, load.lost - lost, memory


def table(rows: list[Row], load: Load, seconds: float, down: float) -> str:
    lines = [
        "| Fault | Recorded reason | Serves again after | Requests lost | Memory then |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {reason} | {took:.0f} s | {lost} | {mib} MiB |" for name, reason, took, lost, mib in rows
    ]
    asked = load.answered + load.lost
    up = f"{100 * (1 - down / seconds):.1f} % of {seconds / 60:.0f} minutes"
    lines.append(
        f"\nServed {up}; {load.answered} of {asked} requests answered, {load.lost} lost; {len(rows)} faults."
    )
    return "\n".join(lines) + "\n"
