"""Where the token is after a whole run with real vLLM: in the file of `hf auth login`, and nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import serve_folder
from launch.paths import cache_dir, state_dir
from tests.conftest import MODEL
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import Finished, invoke

TOKEN = "hf_ThisMustNotBeSeenAnywhere"
NAME = "slipway-minimax-m2-tiny"
KEPT = (state_dir(), cache_dir())  # what commands leave outside HOME
FORMATS = ("table", "json", "docker", "compose", "quadlet", "kubernetes")


@dataclass
class Trip:
    """What a run from login to stop said and left, place by place."""

    home: Path
    said: list[Finished] = field(default_factory=list)
    arguments: set[str] = field(default_factory=set)  # command lines on this machine that held the token
    inspected: str = ""
    environments: bytes = b""
    files: list[str] = field(default_factory=list)  # in the container and its mounts
    in_image: bool = True


@pytest.fixture(scope="module")
def trip(engine: Any, cpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """Log in, build, fetch, plan, run, ask, measure, stop: with the token stored and in the environment as well."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "hub" / MODEL).mkdir(parents=True)
    write_checkpoint(folder / "hub" / MODEL)
    (folder / "secret").write_text(TOKEN)
    trip = Trip(folder / "home")
    with serve_folder(folder / "hub", token=TOKEN) as hub, watched(trip.arguments):
        given = {"HF_ENDPOINT": hub.url, "HF_HOME": str(trip.home), "HF_HUB_CACHE": "", "HF_TOKEN": TOKEN}
        _go(trip, given, str(folder / "secret"))
        try:
            _look(trip, engine.containers.get(NAME), engine.images.get(cpu_image))
        finally:
            trip.said.append(invoke("stop", "--name", NAME, **given).ok())
    return trip


def _go(trip: Trip, given: dict[str, str], secret: str) -> None:
    run = (*WANTED, "--port", free_port())
    commands = [
        ("login", "--token-file", secret),
        ("build", "--platform", "cpu"),
        ("build", "--platform", "cpu", "--dry-run"),
        ("fetch", "--model", MODEL, "--dry-run"),
        *(("plan", *run, "--format", format) for format in FORMATS),
        ("run", *run, "--fetch", "--replace"),
        ("ps", "--format", "json"),
        ("chat", "Hello", "--max-tokens", "4", "--name", NAME),
        ("bench", "--preset", "guide-cuda", "--scale", "0.02", "--name", NAME),
        ("logs", "--name", NAME),
        ("verify", "--model", MODEL, "--deep"),
        ("fetch", "--model", MODEL, "--bundle", str(trip.home.parent / "bundle.tar")),
    ]
    for words in commands:
        trip.said.append(invoke(*words, **given).ok())


def _look(trip: Trip, container: Any, image: Any) -> None:
    trip.inspected = json.dumps([container.attrs, image.attrs, image.history()])
    trip.environments = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/environ"]).output
    mounts = {mount["Destination"] for mount in container.attrs["Mounts"]}
    memory = set(container.attrs["HostConfig"].get("Tmpfs") or ())  # no export shows what is in there
    trip.files = container.exec_run(["grep", "-rlF", TOKEN, *mounts, *memory]).output.decode().splitlines()
    trip.in_image = _holds(container.export())


def _holds(stream: Iterator[bytes]) -> bool:
    """Whether the token is in there, be it across two pieces."""
    tail = b""
    for piece in stream:
        if TOKEN.encode() in tail + piece:
            return True
        tail = piece[-len(TOKEN) :]
    return False


@contextmanager
def watched(seen: set[str]) -> Iterator[None]:
    """Meanwhile look again and again at the command lines of this machine for the token."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for at in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = at.read_bytes()
                except OSError:
                    continue
                if TOKEN.encode() in line:
                    seen.add(line.decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def test_it_is_in_nothing_that_a_command_said(trip):
    assert [one for one in trip.said if TOKEN in one.out + one.err] == []
    assert f"{MODEL} serves at" in "".join(one.out for one in trip.said)


def test_it_is_in_no_argument_list(trip):
    assert trip.arguments == set()


def test_it_is_in_nothing_that_docker_inspect_shows_of_container_and_image(trip):
    assert NAME in trip.inspected
    assert TOKEN not in trip.inspected


def test_it_is_in_no_environment_of_the_servers_processes(trip):
    assert b"HF_HUB_OFFLINE=1" in trip.environments
    assert TOKEN.encode() not in trip.environments
    assert b"HF_TOKEN" not in trip.environments


def test_it_is_in_no_file_that_the_server_can_read(trip):
    assert trip.files == []
    assert not trip.in_image


def test_on_this_host_it_is_where_hf_auth_login_keeps_it_and_nowhere_else(trip):
    (trip.home.parent / "secret").unlink(missing_ok=True)
    places = (trip.home.parent, *KEPT)
    files = [at for place in places for at in place.rglob("*") if at.is_file()]
    assert (trip.home.parent / "bundle.tar") in files
    assert sorted(at.name for at in files if TOKEN.encode() in at.read_bytes()) == ["stored_tokens", "token"]
