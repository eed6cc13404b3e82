"""Which Hub lists the files that a cluster fetches."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed
from launch.operations.cluster_storage import listing
from tests.hub.faults import serve_folder
from tests.unit.launch.plan_builders import M2, TINY, plan

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_the_hub_of_the_cluster_decides_and_gets_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its main may be another commit than that of this host's Hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_usual_hub")
    (tmp_path / "served" / TINY).mkdir(parents=True)
    (tmp_path / "served" / TINY / "config.json").write_text("{}")
    with serve_folder(tmp_path / "served") as hub:
        found = listing(plan(TINY, "cpu", 1), "", hub.url)
        sent = [request.headers for request in hub.requests]
    assert [entry.path for entry in found.entries] == ["config.json"]
    assert sent
    assert not [headers for headers in sent if "authorization" in headers]


def test_a_hub_that_this_host_cannot_reach_has_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    found = listing(plan(TINY, "cpu", 1), "", NOWHERE)
    assert "config.json" in {entry.path for entry in found.entries}


def test_files_that_no_hub_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    with pytest.raises(Failed, match="the files of MiniMaxAI/MiniMax-M2 are not known") as caught:
        listing(plan(M2, "h200", 4), "", NOWHERE)
    assert "--weights-claim NAME" in caught.value.fix
