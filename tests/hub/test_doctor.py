"""Query a Hub for the doctor: the account of the token, access to the model, and the time."""

from __future__ import annotations

from pathlib import Path

from launch.doctor.facts import HubFacts
from launch.doctor.probes import hub as probes_hub
from tests.hub.conftest import MODEL
from tests.hub.faults import serve_folder


def query(endpoint: str, folder: Path, model: str = MODEL, **environ: str) -> HubFacts:
    given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), **environ}
    return probes_hub.query(probes_hub.read_disk(model, given), 5, given)


def test_query_returns_the_account_of_a_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        answer = query(hub.url, tmp_path, HF_TOKEN="hf_right")
    assert (answer.reached, answer.token_rejected, answer.user, answer.licence) == (
        True,
        False,
        "slipway",
        "open",
    )
    assert answer.clock_skew is not None
    assert abs(answer.clock_skew) < 60
    assert "hf_right" not in repr(answer)


def test_query_reports_a_rejected_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        answer = query(hub.url, tmp_path, HF_TOKEN="hf_wrong")
    assert (answer.reached, answer.token_rejected, answer.licence) == (True, True, "")


def test_query_works_without_a_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        answer = query(hub.url, tmp_path)
        unknown = query(hub.url, tmp_path, model="harbour/no-such-boat")
    assert (answer.reached, answer.token_rejected, answer.user, answer.licence) == (True, False, "", "open")
    assert unknown.licence == "unknown model"


def test_query_reports_an_unreachable_hub(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        endpoint = hub.url
    answer = query(endpoint, tmp_path)
    assert not answer.reached
    assert "refused" in answer.error
