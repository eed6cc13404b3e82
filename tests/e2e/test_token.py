"""After a whole run with real vLLM the token is in the file of `hf auth login` and nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import serve_folder
from launch.paths import cache_dir, state_dir
from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

TOKEN = "hf_ThisMustNotBeSeenAnywhere"
PATTERN = TOKEN.replace("See", "Se[e]")  # keeps the token out of the command line of grep itself
WRITTEN = (state_dir(), cache_dir())  # what commands write outside HOME
FORMATS = ("table", "json", "docker", "compose", "quadlet", "kubernetes")


@dataclass
class Trip:
    """What a run from login to stop printed and left, place by place."""

    home: Path
    commands: list[Finished] = field(default_factory=list)
    arguments: set[str] = field(default_factory=set)  # command lines on this host that contain the token
    inspected: str = ""
    environments: bytes = b""
    files: list[str] = field(default_factory=list)  # in the container and its mounts
    in_image: bool = True


@pytest.fixture(scope="module")
def trip(engine: DockerClient, cpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """Log in, build, fetch, plan, run, chat, bench and stop with the token both stored and in the environment."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "hub" / MODEL).mkdir(parents=True)
    write_checkpoint(folder / "hub" / MODEL)
    (folder / "secret").write_text(TOKEN)
    trip = Trip(folder / "home")
    with serve_folder(folder / "hub", token=TOKEN) as hub, watched(trip.arguments):
        given = {"HF_ENDPOINT": hub.url, "HF_HOME": str(trip.home), "HF_HUB_CACHE": "", "HF_TOKEN": TOKEN}
        _go(trip, given, str(folder / "secret"))
        try:
            _look(trip, engine.containers.get(SERVER), engine.images.get(cpu_image))
        finally:
            trip.commands.append(invoke("stop", "--name", SERVER, **given).ok())
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
        ("chat", "Hello", "--max-tokens", "4", "--name", SERVER),
        ("bench", "--preset", "guide-cuda", "--scale", "0.02", "--name", SERVER),
        ("logs", "--name", SERVER),
        ("verify", "--model", MODEL, "--deep"),
        ("fetch", "--model", MODEL, "--bundle", str(trip.home.parent / "bundle.tar")),
    ]
    for words in commands:
        trip.commands.append(invoke(*words, **given).ok())


def _look(trip: Trip, container: Container, image: Image) -> None:
    trip.inspected = json.dumps([container.attrs, image.attrs, image.history()])
    trip.environments = _run_in(container, "sh", "-c", "cat /proc/[0-9]*/environ")
    mounts = {mount["Destination"] for mount in container.attrs["Mounts"]}
    memory = set(container.attrs["HostConfig"].get("Tmpfs") or ())  # an export leaves it out
    trip.files = _run_in(container, "grep", "-rl", PATTERN, *mounts, *memory).decode().splitlines()
    trip.in_image = _holds(cast("Iterator[bytes]", container.export()))  # the stubs say str


def _run_in(container: Container, *words: str, **environment: str) -> bytes:
    output = container.exec_run(list(words), environment=environment).output
    assert isinstance(output, bytes)
    return output


def _holds(stream: Iterator[bytes]) -> bool:
    """Return whether the stream contains the token, also across two pieces."""
    tail = b""
    for piece in stream:
        if TOKEN.encode() in tail + piece:
            return True
        tail = piece[-len(TOKEN) :]
    return False


@contextmanager
def watched(lines: set[str]) -> Iterator[None]:
    """Search the command lines of this host for the token all the while."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for at in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = at.read_bytes()
                except OSError:
                    continue
                if TOKEN.encode() in line:
                    lines.add(line.decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def test_token_is_not_in_the_output_of_a_command(trip: Trip) -> None:
    assert [command for command in trip.commands if TOKEN in command.out + command.err] == []
    assert f"{MODEL} serves at" in "".join(command.out for command in trip.commands)


def test_token_is_not_in_a_command_line(trip: Trip) -> None:
    assert trip.arguments == set()


def test_token_is_not_in_docker_inspect_of_container_or_image(trip: Trip) -> None:
    assert SERVER in trip.inspected
    assert TOKEN not in trip.inspected


def test_token_is_not_in_the_environment_of_the_server(trip: Trip) -> None:
    assert b"HF_HUB_OFFLINE=1" in trip.environments
    assert TOKEN.encode() not in trip.environments
    assert b"HF_TOKEN" not in trip.environments


def test_token_is_not_in_a_file_that_the_server_can_read(trip: Trip) -> None:
    assert trip.files == []
    assert not trip.in_image


def test_token_on_the_host_is_only_where_hf_auth_login_stores_it(trip: Trip) -> None:
    (trip.home.parent / "secret").unlink(missing_ok=True)
    places = (trip.home.parent, *WRITTEN)
    files = [at for place in places for at in place.rglob("*") if at.is_file()]
    assert (trip.home.parent / "bundle.tar") in files
    assert sorted(at.name for at in files if TOKEN.encode() in at.read_bytes()) == ["stored_tokens", "token"]
