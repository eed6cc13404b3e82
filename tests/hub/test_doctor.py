"""What doctor learns from a Hub: who we are, whether the model may be had, what time it is."""

from __future__ import annotations

from pathlib import Path

from launch.doctor.facts import Hub
from launch.doctor.probes import hub as probes_hub
from launch.hub_server import serve_folder
from tests.hub.conftest import MODEL


def asked(endpoint: str, folder: Path, model: str = MODEL, **environ: str) -> Hub:
    given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), **environ}
    return probes_hub.online(probes_hub.on_disk(model, given), 5, given)


def test_a_good_token(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        seen = asked(hub.url, tmp_path, HF_TOKEN="hf_right")
    assert (seen.reached, seen.refused, seen.user, seen.licence) == (True, False, "slipway", "open")
    assert seen.skew is not None
    assert abs(seen.skew) < 60
    assert "hf_right" not in repr(seen)


def test_a_token_that_is_refused(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder, token="hf_right") as hub:
        seen = asked(hub.url, tmp_path, HF_TOKEN="hf_wrong")
    assert (seen.reached, seen.refused, seen.licence) == (True, True, "")


def test_nobody_asks_for_a_public_model(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        seen = asked(hub.url, tmp_path)
        unknown = asked(hub.url, tmp_path, model="harbour/no-such-boat")
    assert (seen.reached, seen.refused, seen.user, seen.licence) == (True, False, "", "open")
    assert unknown.licence == "unknown model"


def test_a_hub_that_is_gone(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        endpoint = hub.url
    seen = asked(endpoint, tmp_path)
    assert not seen.reached
    assert "refused" in seen.error
