"""Files that huggingface_hub downloads are verified like all others."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.weights.cache import ModelFolder
from launch.weights.fetch import execute
from launch.weights.fetch_plan import plan_fetch
from launch.weights.manifest import Entry, Manifest
from launch.weights.sources import xet
from launch.weights.sources.hub import Hub
from launch.weights.sources.xet import Xet
from launch.weights.verify import verify_model
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import Fault, serve_folder


def test_wrong_and_missing_files_are_fetched_again_and_right_ones_are_kept(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    faults = (
        Fault("flip", match=BIG, at=1000, times=1),
        Fault("status", match="model-00002*", status=500, times=1),
    )
    with serve_folder(folder, faults=faults) as hub:
        source = Hub(MODEL, hub.url, QUICK)
        plan = plan_fetch(MODEL, source, cache=cache)
        snapshot = execute(plan, source, policy=QUICK, xet=Xet(hub.url))
    assert_complete(snapshot.path)
    assert verify_model(MODEL, cache=cache, deep=True).bad == ()
    small = sum(size for name, size in SIZES.items() if not name.endswith(".safetensors"))
    assert snapshot.fetched == small + SIZES[BIG] + SIZES["model-00002-of-00003.safetensors"]
    assert "model-00002-of-00003.safetensors: Xet failed" in caplog.text


def test_ctrl_c_does_not_wait_for_active_downloads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[str] = []

    def download(model: str, path: str, **options: object) -> None:
        requested.append(path)
        if path != "0":
            time.sleep(2)
        raise OSError

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(xet.logger, "warning", interrupt)  # called in the main thread for the first failure
    entries = tuple(Entry(str(number), 1, f"{number:064}") for number in range(50))
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Xet("http://hub.invalid").download(
            ModelFolder(cache, MODEL), Manifest(MODEL, "main", "c" * 40, entries), entries
        )
    assert time.monotonic() - begin < 1
    assert len(requested) < 10
