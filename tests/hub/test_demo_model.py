"""Fetch the built-in tiny model, which no Hub has."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.engine import images
from launch.operations.demo_model import MODEL, endpoint_for
from launch.operations.events import Events
from launch.operations.launch_options import LaunchOptions
from launch.operations.prepare import prepare
from launch.spec.plan_options import PlanOptions
from launch.weights.snapshot import require_complete
from tests.hub.conftest import MODEL as OTHER
from tests.hub.faults import serve_folder
from tests.invocation import invoke
from tests.unit.launch.plan_builders import plan


@pytest.fixture
def environ(cache: Path) -> dict[str, str]:
    """No Hub but the one on loopback can be reached."""
    proxy = "http://127.0.0.1:9"
    return {"HF_HUB_CACHE": str(cache), "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}


def test_fetch_of_the_built_in_model_needs_no_hub(environ: dict[str, str], cache: Path) -> None:
    invoke("fetch", "--model", MODEL, **environ).ok()
    assert require_complete(MODEL, cache=cache).fetched == 0
    assert invoke("fetch", "--model", MODEL, "--dry-run", "--format", "json", **environ).ok().json


def test_launch_fetches_the_built_in_model_without_a_hub(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(images, "find", lambda client, reference: object())
    monkeypatch.setattr(images, "inspect", lambda client, reference: None)
    how = LaunchOptions(fetch=True)
    prepare(None, plan(MODEL, "cpu", 1), PlanOptions(MODEL), how, Events())  # type: ignore[arg-type]
    require_complete(MODEL)


def test_verify_repairs_the_built_in_model_without_a_hub(environ: dict[str, str], cache: Path) -> None:
    invoke("fetch", "--model", MODEL, **environ).ok()
    (require_complete(MODEL, cache=cache).path / "config.json").resolve().unlink()
    assert "repaired: config.json" in invoke("verify", "--model", MODEL, "--repair", **environ).ok().err
    require_complete(MODEL, cache=cache)


def test_fetch_asks_the_hub_that_the_user_names(
    environ: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_folder(folder) as hub:
        refused = invoke("fetch", "--model", MODEL, HF_ENDPOINT=hub.url, **environ)
        assert refused.code
        assert invoke("fetch", "--model", MODEL, "--from", hub.url, **environ).code
        assert any(MODEL in request.path for request in hub.requests)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with endpoint_for(MODEL) as endpoint:
            assert endpoint is None


def test_other_models_have_no_hub_on_loopback() -> None:
    with endpoint_for(OTHER) as endpoint:
        assert endpoint is None
