"""The facts of this machine and its user, and what earlier starts measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.operations.host_facts import gather, save_kv_tokens
from launch.spec.gpu_catalog import catalog
from launch.spec.image_reference import short_id
from launch.spec.inputs import KvMeasurement
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import M2, m2_shape, plan


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working folder with a state folder and a Hugging Face cache in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_gather_names_the_folders_of_the_caller(folder: Path) -> None:
    host = gather(catalog()["h200"], 4, 1, [])
    assert (host.hub_cache, host.cache) == (str(folder / "hub"), str(folder / "cache" / "servers"))
    assert (host.folder, host.key_file) == (str(folder), str(folder / "config" / "api-key.env"))


def test_gather_prefers_a_snapshot_to_a_known_shape(folder: Path) -> None:
    assert gather(catalog()["h200"], 4, 1, [M2], {M2: m2_shape()}).shapes[M2] == m2_shape()
    snapshot = folder / "hub" / "models--MiniMaxAI--MiniMax-M2" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"num_attention_heads": 6}))
    assert gather(catalog()["h200"], 4, 1, [M2], {M2: m2_shape()}).shapes[M2].heads == 6


def test_saved_kv_tokens_are_facts_of_the_next_plan(folder: Path) -> None:
    save_kv_tokens(plan(M2, "h200", 4), 4000)
    save_kv_tokens(plan(M2, "h20", 4, settings=(("--kv-cache-dtype", "fp8"),)), 300_000)
    image = plan(M2, "h200", 4).image
    first, second = (
        KvMeasurement(M2, "h200", Layout(4), 4000, image=short_id(image)),
        KvMeasurement(M2, "h20", Layout(4), 300_000, "fp8", image=short_id(image)),
    )
    with (folder / "state" / "kv_cache.jsonl").open("a") as file:
        file.write('{"model": "of another format"}\n{"cut by a cra')
    assert gather(catalog()["h200"], 4, 1, []).measured == (first, second)
