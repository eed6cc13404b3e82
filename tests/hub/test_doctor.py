"""What doctor reads from a Hub: the account, the access to a model, the clock."""

from __future__ import annotations

from pathlib import Path

from launch.doctor.facts import Hub
from launch.doctor.probes import hub as probes_hub
from tests.hub.conftest import MODEL
from tests.hub.faults import serve_folder


def probe(endpoint: str, folder: Path, model: str = MODEL, **environ: str) -> Hub:
    given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), **environ}
    return probes_hub.online(probes_hub.on_disk(model, given), 5, given)


def test_probe_with_an_accepted_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        facts = probe(hub.url, tmp_path, HF_TOKEN="hf_right")
    assert (facts.reached, facts.refused, facts.user, facts.licence) == (True, False, "slipway", "open")
    assert facts.skew is not None
    assert abs(facts.skew) < 60
    assert "hf_right" not in repr(facts)


def test_probe_with_a_refused_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        facts = probe(hub.url, tmp_path, HF_TOKEN="hf_wrong")
    assert (facts.reached, facts.refused, facts.licence) == (True, True, "")


def test_probe_without_a_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        facts = probe(hub.url, tmp_path)
        unknown = probe(hub.url, tmp_path, model="harbour/no-such-boat")
    assert (facts.reached, facts.refused, facts.user, facts.licence) == (True, False, "", "open")
    assert unknown.licence == "unknown model"


def test_probe_of_a_hub_that_does_not_listen(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        endpoint = hub.url
    facts = probe(endpoint, tmp_path)
    assert not facts.reached
    assert "refused" in facts.error
