"""`invoke diagnose` reads a file line by line, and a container through the engine's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands.diagnose import evidence_of
from errors import Refused
from launch.diagnosis.diagnose import diagnose
from tests.conftest import ROOT

LOG = ROOT / "tests" / "unit" / "launch" / "diagnosis" / "logs" / "out-of-memory.log"


class Container:
    """What docker's SDK gives of a container that ended."""

    def __init__(self, **state: Any) -> None:
        self.attrs = {"State": state}

    def logs(self, stream: bool, follow: bool) -> Iterator[bytes]:
        assert stream and not follow
        whole = LOG.read_bytes()
        return iter([whole[:100], whole[100:]])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Container]:
    from docker.errors import NotFound

    there: dict[str, Container] = {}

    def get(name: str) -> Container:
        if name not in there:
            raise NotFound("no such container")
        return there[name]

    client = SimpleNamespace(containers=SimpleNamespace(get=get))
    monkeypatch.setattr("launch.engine.client.connect", lambda: client)
    return there


def test_a_file() -> None:
    assert diagnose(evidence_of(str(LOG))).cause_id == "gpu-memory"


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 300_000 + b"\n\xff\xfe not text\n" + LOG.read_bytes())
    lines = list(evidence_of(str(log)).lines)
    assert max(len(line) for line in lines) <= 1 << 16
    assert diagnose(evidence_of(str(log))).cause_id == "gpu-memory"


def test_a_container_that_ended(engine: dict[str, Container]) -> None:
    engine["m2"] = Container(Status="exited", ExitCode=1, OOMKilled=False, Error="")
    found = evidence_of("m2")
    assert (found.exit_code, found.oom_killed) == (1, False)
    assert diagnose(found).cause_id == "gpu-memory"


def test_a_container_that_runs_has_no_exit_code(engine: dict[str, Container]) -> None:
    engine["m2"] = Container(Status="running", ExitCode=0, OOMKilled=False, Error="")
    assert evidence_of("m2").exit_code is None


def test_a_container_that_never_started_has_the_engine_s_words(engine: dict[str, Container]) -> None:
    error = 'exec: "vllm": executable file not found in $PATH'
    engine["m2"] = Container(Status="created", ExitCode=127, OOMKilled=False, Error=error)
    assert diagnose(evidence_of("m2")).cause_id == "no-vllm-in-image"


def test_what_is_neither_is_refused(engine: dict[str, Container]) -> None:
    with pytest.raises(Refused, match="no log file and no container is named 'nothing'"):
        evidence_of("nothing")
    with pytest.raises(Refused, match=r"'no/such\.log' does not exist"):
        evidence_of("no/such.log")
