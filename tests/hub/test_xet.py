"""Bytes that huggingface_hub brings are proven like our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import weights
from launch.hub_server import Fault, serve_folder
from launch.weights.cache import Place
from launch.weights.fetch import carry_out
from launch.weights.fetch_plan import plan
from launch.weights.manifest import Entry, Manifest
from launch.weights.sources.hub import Hub
from launch.weights.sources.xet import Xet

from .conftest import BIG, MODEL, QUICK, SIZES


def test_what_came_wrong_is_fetched_again_and_what_came_right_is_not(
    folder: Path, cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    said: list[str] = []
    faults = (
        Fault("flip", match=BIG, at=1000, times=1),
        Fault("status", match="model-00002*", status=500, times=1),
    )
    with serve_folder(folder, faults=faults) as hub:
        source = Hub(MODEL, hub.url, QUICK)
        order = plan(MODEL, source, cache=cache)
        found = carry_out(order, source, patience=QUICK, xet=Xet(hub.url, said.append))
    assert_whole(found.path)
    assert weights.verify(MODEL, cache=cache, deep=True).bad == ()
    small = sum(size for name, size in SIZES.items() if not name.endswith(".safetensors"))
    assert found.fetched == small + SIZES[BIG] + SIZES["model-00002-of-00003.safetensors"]
    assert [line.partition(" ")[0] for line in said] == ["model-00002-of-00003.safetensors"]


def test_ctrl_c_does_not_wait_for_what_is_on_its_way(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(model: str, path: str, **more: object) -> None:
        asked.append(path)
        if path != "0":
            time.sleep(2)
        raise OSError

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    entries = tuple(Entry(str(number), 1, f"{number:064}") for number in range(50))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Xet("http://hub.invalid", interrupted).bring(
            Place(cache, MODEL), Manifest(MODEL, "main", "c" * 40, entries), entries
        )
    assert time.monotonic() - began < 1
    assert len(asked) < 10
