"""Bytes that huggingface_hub brings are proven like our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launch import weights
from launch.hub_server import Fault, serve_folder
from launch.weights.fetching import carry_out
from launch.weights.hub import Hub
from launch.weights.order import plan
from launch.weights.xet import Xet

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
