"""Read the input of a diagnosis from a file, or from a container through the engine's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Refused
from launch.diagnosis.diagnose import diagnose
from launch.operations.diagnosis_source import read_source

LOG = Path(__file__).parent.parent / "diagnosis" / "logs" / "out-of-memory.log"


class Container:
    """What Docker's SDK returns for a container that exited."""

    def __init__(self, **state: Any) -> None:
        self.attrs = {"State": state}

    def logs(self, stream: bool, follow: bool) -> Iterator[bytes]:
        assert stream and not follow
        content = LOG.read_bytes()
        return iter([content[:100], content[100:]])


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Container]:
    from docker.errors import NotFound

    containers: dict[str, Container] = {}

    def get(name: str) -> Container:
        if name not in containers:
            raise NotFound("no such container")
        return containers[name]

    client = SimpleNamespace(containers=SimpleNamespace(get=get))
    monkeypatch.setattr("launch.engine.client.connect", lambda: client)
    return containers


def test_read_source_reads_a_file() -> None:
    assert diagnose(read_source(str(LOG))).cause_id == "gpu-memory"


def test_read_source_reads_an_exited_container(containers: dict[str, Container]) -> None:
    containers["m2"] = Container(Status="exited", ExitCode=1, OOMKilled=False, Error="")
    source = read_source("m2")
    assert (source.exit_code, source.oom_killed) == (1, False)
    assert diagnose(source).cause_id == "gpu-memory"


def test_read_source_has_no_exit_code_for_a_running_container(containers: dict[str, Container]) -> None:
    containers["m2"] = Container(Status="running", ExitCode=0, OOMKilled=False, Error="")
    assert read_source("m2").exit_code is None


def test_read_source_has_the_engine_error_of_a_container_that_never_started(
    containers: dict[str, Container],
) -> None:
    error = 'exec: "vllm": executable file not found in $PATH'
    containers["m2"] = Container(Status="created", ExitCode=127, OOMKilled=False, Error=error)
    assert diagnose(read_source("m2")).cause_id == "no-vllm-in-image"


def test_read_source_refuses_an_unknown_name(containers: dict[str, Container]) -> None:
    with pytest.raises(Refused, match="no log file and no container is named 'nothing'"):
        read_source("nothing")


@pytest.mark.parametrize("source", ["no/such.log", "--nothing"])
def test_read_source_refuses_a_missing_file(source: str) -> None:
    with pytest.raises(Refused, match=f"log file '{source}' does not exist"):
        read_source(source)


def test_read_source_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a folder, not a log file"):
        read_source(str(tmp_path))
