"""`invoke ps`: a table for a person, JSON for a program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.config import Config
from invoke.context import Context

from commands.ps import ps
from launch.engine.servers import Server
from launch.hardware.types import Gpu
from launch.serving.metrics import Load
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry, Manifest

M2 = Server(
    name="slipway-minimax-m2",
    id="abc",
    model="MiniMaxAI/MiniMax-M2",
    commit="c0ffee" + "0" * 34,
    plan="p",
    status="running",
    image="i",
    url="http://127.0.0.1:8000",
    gpus="GPU-0,GPU-1",
    started="2026-11-26T10:00:00.123Z",
    health="starting",
)


def listed(
    monkeypatch: pytest.MonkeyPatch,
    *servers: Server,
    loads: dict[str, Load] | None = None,
    format: str = "text",
) -> None:
    gpus = tuple(Gpu(i, "nvidia", hardware="h200", uuid=f"GPU-{i}") for i in range(8))
    monkeypatch.setattr("launch.engine.client.connect", lambda: None)
    monkeypatch.setattr("launch.engine.servers.list_servers", lambda client: list(servers))
    monkeypatch.setattr("launch.serving.metrics.measure_load", lambda urls: loads or {})
    monkeypatch.setattr("launch.hardware.detect.detect", lambda: SimpleNamespace(gpus=gpus))
    ps(Context(Config(defaults={"slipway": {}, "run": {"dry": False}}, lazy=True)), format=format)


def test_ps_shows_a_server_healthy_as_soon_as_it_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch, M2, loads={M2.name: Load(1, 42, 12.3)})
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == [
        *("NAME", "MODEL", "COMMIT", "STATUS", "GPUS", "REQUESTS", "TOKENS/S", "URL", "STARTED")
    ]
    assert row.split() == [
        *("slipway-minimax-m2", "MiniMaxAI/MiniMax-M2", "c0ffee000000", "healthy", "0-1", "(2", "x", "H200)"),
        *("1", "12", "http://127.0.0.1:8000", "2026-11-26T10:00:00"),
    ]


@pytest.mark.parametrize(
    ("health", "answers", "shown"),
    [
        ("starting", False, "starting"),
        ("unhealthy", True, "unhealthy"),
        ("", True, "healthy"),
        ("", False, ""),
    ],
)
def test_ps_keeps_what_the_engine_found(
    health: str,
    answers: bool,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loads = {M2.name: Load(0, 0)} if answers else {}
    listed(monkeypatch, replace(M2, health=health), loads=loads, format="json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["health"], row["load"] is not None) == (shown, answers)


def test_ps_leaves_out_columns_that_are_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch, replace(M2, status="exited", gpus="", started="0001-01-01T00:00:00Z"))
    assert capsys.readouterr().out.splitlines()[0].split() == ["NAME", "MODEL", "COMMIT", "STATUS", "URL"]


def test_ps_shows_when_the_weights_were_verified(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    listed(monkeypatch, replace(M2, cache=str(tmp_path)))
    header, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (header[-1], row[-1]) == ("VERIFIED", "never")
    folder = ModelFolder(tmp_path, M2.model)
    folder.snapshot(M2.commit).mkdir(parents=True)
    path = folder.snapshot(M2.commit) / "config.json"
    path.write_text("{}")
    status = path.stat()
    entry = Entry("config.json", 2, "a" * 40, "", "2026-11-27T10:00:00Z", status.st_mtime_ns, status.st_ino)
    manifests.save(Manifest(M2.model, "main", M2.commit, (entry,)), folder.manifest(M2.commit))
    listed(monkeypatch, replace(M2, cache=str(tmp_path)))
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "2026-11-27"
    path.write_text("[]")
    listed(monkeypatch, replace(M2, cache=str(tmp_path)), format="json")
    (server,) = json.loads(capsys.readouterr().out)
    assert server["verified"] == "changed"


def test_ps_without_servers_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch)
    captured = capsys.readouterr()
    assert (captured.out, "Start one with `invoke run`" in captured.err) == ("", True)
