"""The facts of this machine and its user, and what earlier starts left behind."""

from __future__ import annotations

import json

from launch.operations import host_facts as host_module
from launch.operations.host_facts import gather, learn, remember
from launch.spec.gpu_catalog import catalog
from launch.spec.inputs import KvMeasurement
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import M2, m2_shape, plan


def test_the_caller_and_their_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    host = gather(catalog()["h200"], 4, 1, [])
    assert (host.hub_cache, host.cache) == (str(tmp_path / "hub"), str(tmp_path / "cache" / "slipway"))
    assert host.folder == str(tmp_path)


def test_a_snapshot_beats_a_known_shape(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert gather(catalog()["h200"], 4, 1, [M2], {M2: m2_shape()}).shapes[M2] == m2_shape()
    snapshot = tmp_path / "models--MiniMaxAI--MiniMax-M2" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"num_attention_heads": 6}))
    assert gather(catalog()["h200"], 4, 1, [M2], {M2: m2_shape()}).shapes[M2].heads == 6


def test_what_vllm_printed_is_remembered_for_the_next_plan(monkeypatch, tmp_path):
    monkeypatch.setattr(host_module, "MEASURED", tmp_path / "results" / "kv_cache.jsonl")
    first = KvMeasurement("m", "h200", Layout(4), 4000)
    remember(first)
    made = plan(M2, "h20", 4, settings=(("--kv-cache-dtype", "fp8"),))
    learn(made, 300_000)
    second = KvMeasurement(M2, "h20", Layout(4), 300_000, "fp8")
    with (tmp_path / "results" / "kv_cache.jsonl").open("a") as file:
        file.write("half a li")
    assert gather(catalog()["h200"], 4, 1, []).measured == (first, second)
