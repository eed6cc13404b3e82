"""`bench --layouts` with real vLLM on CPU: TP1, TP2, TP2+EP and DP2+EP, with a server that is put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MODEL
from tests.e2e.conftest import WANTED
from tests.invocation import invoke

pytestmark = pytest.mark.slow

ASKED = ("--layouts", "--model", MODEL, "--platform", "cpu", "--gpus", "2")
LOAD = ("--preset", "guide-cuda", "--scale", "0.02")


def test_a_running_server_is_not_disturbed(server: dict[str, Any], settings: dict[str, str]) -> None:
    refused = invoke("bench", *ASKED, **settings)
    assert refused.code == 2
    assert "a server runs on this host" in refused.err
    assert server["name"] in refused.err


def test_the_server_of_another_user_is_not_stopped(
    server: dict[str, Any], settings: dict[str, str], tmp_path: Path
) -> None:
    other = {**settings, "SLIPWAY_STATE_DIR": str(tmp_path)}
    refused = invoke("bench", *ASKED, "--stop-server", **other)
    assert refused.code == 2
    assert f"'{server['name']}' is not stopped" in refused.err


def test_the_fastest_layout_is_found_and_planned_and_the_server_put_back(
    server: dict[str, Any], settings: dict[str, str], tmp_path: Path
) -> None:
    options = (
        "--stop-server",
        "--goal",
        "throughput",
        "--results",
        str(tmp_path / "runs"),
        "--format",
        "json",
    )
    finished = invoke("bench", *ASKED, *LOAD, *options, **settings)
    found = finished.json
    assert [one["layout"] for one in found["layouts"]] == ["TP2", "TP2+EP", "DP2+EP", "TP1"]
    assert [one["failed"] for one in found["layouts"]] == [""] * 4
    assert all(len(one["starts"]) in (1, 3) for one in found["layouts"])
    assert found["decision"]["result"] in ("winner", "default")
    assert f"{server['name']}: started again" in finished.err

    plan = invoke("plan", *WANTED, "--gpus", "2", "--prefer", "measured", "--format", "json", **settings).json
    sizes = {size: plan["layout"][size] for size in ("tp", "dp")}
    names = {(2, 1): ("TP2", "TP2+EP"), (1, 2): ("DP2+EP",), (1, 1): ("TP1",)}
    assert found["decision"]["layout"] in names[sizes["tp"], sizes["dp"]]
    assert plan["reasons"][0]["why"].startswith("measured on ")

    servers = {row["name"]: row["status"] for row in invoke("ps", "--format", "json").json}
    assert servers == {server["name"]: "running"}


def test_layouts_that_do_not_start_are_rows_with_their_cause(
    server: dict[str, Any], settings: dict[str, str], tmp_path: Path
) -> None:
    broken = ("--set", "--chat-template=/nowhere/template.jinja")
    options = ("--stop-server", "--results", str(tmp_path / "runs"), "--format", "json")
    finished = invoke("bench", *ASKED, *LOAD, *broken, *options, **settings)
    assert finished.code == 1
    assert "error: no layout could be measured" in finished.err
    rows = json.loads(finished.out)["layouts"]
    assert len(rows) == 4
    assert all("the file given by --chat-template is not in the container" in row["failed"] for row in rows)
    servers = {row["name"]: row["status"] for row in invoke("ps", "--format", "json").json}
    assert servers == {server["name"]: "running"}
