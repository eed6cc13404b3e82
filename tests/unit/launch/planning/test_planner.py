"""Plans: the guide's commands, the defaults of its models, and the user's options."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from errors import Refused
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.spec.capabilities import Capabilities
from launch.spec.inputs import KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, M21, TINY, command, host, plan, recipe, why

PARSERS = "--tool-call-parser minimax_m2 --reasoning-parser minimax_m2_append_think --enable-auto-tool-choice"


def test_make_plan_reproduces_the_guides_cuda_commands() -> None:
    assert command(plan(M21, "h200", 4)) == f"vllm serve {M21} --tensor-parallel-size 4 {PARSERS}"
    dep = f"vllm serve {M2} --data-parallel-size 8 --enable-expert-parallel {PARSERS}"
    assert command(plan(M2, "h200", 8)) == dep


def test_make_plan_reproduces_the_guides_rocm_command_and_environment() -> None:
    made = plan(M2, "mi300x", 8, vllm="0.11.1", image="rocm/vllm-dev:nightly", access="guide")
    assert command(made) == (
        f"vllm serve {M2} --data-parallel-size 8 --max-model-len 32768 --enable-expert-parallel {PARSERS}"
        " --disable-nccl-for-dp-synchronization --trust-remote-code"
    )
    assert made.processes[0].env == (
        ("SAFETENSORS_FAST_GPU", "1"),
        ("VLLM_ALL2ALL_BACKEND", "allgather_reducescatter"),
    )
    assert made.image == "rocm/vllm-dev:nightly"


def test_make_plan_with_the_guides_access_uses_the_chosen_image_and_names_the_guides() -> None:
    made = plan(M2, "mi300x", 8, vllm="0.11.1", image="mine@sha256:" + "0" * 64, access="guide")
    assert made.image == "mine@sha256:" + "0" * 64
    assert any(note.startswith("the guide's own image is rocm/vllm-dev:nightly") for note in made.notes)


def test_make_plan_reproduces_the_guides_workaround_and_responses_api() -> None:
    fixed = plan(M2, "h200", 4, workarounds=("piecewise-cudagraphs",))
    assert fixed.processes[0].argv[-2:] == ("--compilation-config", '{"cudagraph_mode": "PIECEWISE"}')
    assert "--reasoning-parser minimax_m2 --" in command(plan(M2, "h200", 4, responses_api=True))


@pytest.mark.parametrize("hardware", ["a100", "a800", "h20", "h200"])
def test_make_plan_uses_tensor_parallel_on_four_gpus(hardware: str) -> None:
    assert plan(M2, hardware, 4).layout == Layout(tp=4)


@pytest.mark.parametrize(("hardware", "gpus"), [("h200", 8), ("a100", 8), ("mi300x", 8), ("h20", 6)])
def test_make_plan_uses_dp_and_ep_on_more_than_four_gpus(hardware: str, gpus: int) -> None:
    assert plan(M2, hardware, gpus).layout == Layout(dp=gpus, ep=gpus)


def test_make_plan_leaves_a_gpu_idle_if_kv_heads_do_not_divide() -> None:
    made = plan(M2, "mi300x", 3)
    assert made.layout == Layout(tp=2)
    assert "TP2 leaves 1 of 3 GPUs idle: no larger TP is valid" in made.notes


def test_make_plan_notes_the_recipes_advice() -> None:
    assert any("TP4+EP is faster" in note for note in plan(M2, "h100", 8).notes)


def test_make_plan_shortens_a_context_that_does_not_fit_with_a_reason() -> None:
    made = plan(M2, "a100", 8)
    assert "--max-model-len 155648" in command(made)
    assert "of the model's own 196,608 tokens, about 1" in why(made, "--max-model-len")
    assert made.fit.result == "fits"


def test_make_plan_for_cpu_is_the_demos_command() -> None:
    made = plan(TINY, "cpu", 2)
    assert made.layout == Layout(tp=2)
    env = dict(made.processes[0].env)
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert env["HF_HUB_OFFLINE"] == "1"
    assert "--host 0.0.0.0" in command(made)
    assert "--enforce-eager" in command(made)


def test_make_plan_for_two_nodes_has_a_head_and_a_worker() -> None:
    made = plan(M2, "h200", 8, nodes=2)
    assert [process.role for process in made.processes] == ["head", "worker"]
    assert made.layout == Layout(dp=16, ep=16, nodes=2)
    assert "--data-parallel-start-rank 8" in command(made, 1)
    assert "--data-parallel-start-rank" not in command(made, 0)
    assert ["--headless" in process.argv for process in made.processes] == [False, True]


def test_make_plan_gives_a_reason_and_a_source_for_every_item() -> None:
    made = plan(M2, "mi300x", 8)
    items = {reason.item for reason in made.reasons if reason.why and reason.source}
    options = " ".join(made.processes[0].argv[3:])
    assert all(" ".join([word]) in " ".join(items) for word in options.split())
    assert all(f"{name}={value}" in items for name, value in made.processes[0].env)


def test_make_plan_notes_what_the_users_options_replace() -> None:
    made = plan(M2, "h200", 4, settings=(("--tensor-parallel-size", "2"),), max_model_len=65536)
    assert "--tensor-parallel-size 2" in command(made)
    assert any("--tensor-parallel-size 2: set by the user, replaces 4" in note for note in made.notes)
    assert why(made, "--max-model-len") == "set by the user [user]"


def test_make_plan_names_the_option_that_selects_the_strategy() -> None:
    made = plan(M2, "h200", 4, settings=(("--data-parallel-size", "4"),))
    assert made.strategy == "single_node_dep"
    assert why(made, "single_node_dep") == "suits --data-parallel-size, which is set by the user [user]"


def test_make_plan_reduces_dp_by_the_users_tp() -> None:
    made = plan(M2, "h200", 8, strategy="single_node_dep", settings=(("--tensor-parallel-size", "2"),))
    assert made.layout == Layout(tp=2, dp=4, ep=8)
    assert "DP8 x TP2 = 16 GPUs, but there are 8: DP is 8 / 2 = 4" in made.notes


def test_make_plan_keeps_json_values() -> None:
    value = '{"cudagraph_mode": "PIECEWISE", "custom_ops": ["+{0}", "-$HOME", "+%s"]}'
    made = plan(M2, "h200", 4, settings=(("--compilation-config", value),))
    assert value in made.processes[0].argv


def test_make_plan_prefers_capabilities_over_the_version_table() -> None:
    capabilities = Capabilities(
        vllm_version="0.11.1", flags=frozenset({"--tensor-parallel-size", "--tool-call-parser"})
    )
    made = plan(M2, "h200", 4, capabilities=capabilities)
    assert "--reasoning-parser" not in command(made)
    assert any("does not know --reasoning-parser" in note for note in made.notes)


def test_make_plan_refuses_a_parser_that_the_image_lacks() -> None:
    capabilities = Capabilities(vllm_version="0.32.0", reasoning_parsers=frozenset({"minimax_m2", "qwen3"}))
    with pytest.raises(Refused, match="unknown reasoning parser 'minimax_m2_append_think'") as refused:
        plan(M2, "h200", 4, capabilities=capabilities)
    assert "minimax_m2" in refused.value.fix


def test_make_plan_refuses_an_image_without_kernels_for_the_gpu() -> None:
    with pytest.raises(Refused, match="no kernels for mi355x"):
        plan(M2, "mi355x", 8, capabilities=Capabilities("0.32.0", gpu_archs=("gfx942",)))
    assert plan(M2, "h200", 4, capabilities=Capabilities("0.32.0", gpu_archs=("sm_80", "sm_90")))


def test_make_plan_uses_the_measurement_of_an_earlier_start() -> None:
    earlier = KvMeasurement(M2, "h20", Layout(tp=4), 400_000)
    assert plan(M2, "h20", 4, facts={"measured": (earlier,)}).fit.kv_tokens == 400_000
    estimated = plan(M2, "h20", 8).fit.kv_tokens
    corrected = plan(M2, "h20", 8, facts={"measured": (earlier,)}, max_model_len=32768).fit.kv_tokens
    assert corrected is not None
    assert estimated is not None
    assert corrected < estimated


def test_make_plan_prefers_the_shape_of_a_snapshot() -> None:
    shape = ModelShape(layers=2, heads=6, kv_heads=2, experts=4, expert_intermediate=64)
    with pytest.raises(Refused, match="6 attention heads / 4"):
        plan(M2, "h200", 4, facts={"shapes": {M2: shape}}, strategy="single_node_tp")


def test_make_plan_for_an_unknown_shape_skips_the_checks() -> None:
    unknown = replace(recipe(M2), extension=replace(recipe(M2).extension, shape=None))
    made = make_plan(PlanOptions(M2), host("h200", 4), unknown, image_for("cuda", "0.32.0"))
    assert made.fit.result == "unknown"
    assert any("the shape of the model is not known" in note for note in made.notes)


def test_make_plan_allows_tp8_from_029() -> None:
    wide = plan(M2, "h200", 8, vllm="0.29.0", strategy="single_node_tp")
    assert wide.layout == Layout(tp=8)
    assert "TP8: blocks of 128 are refined to 64, for which vLLM has Triton MoE kernels only" in wide.notes
    assert plan(M2, "h200", 8, vllm="0.28.0", strategy="single_node_tep").layout == Layout(tp=8, ep=8)


REFUSALS = [
    (
        {"strategy": "single_node_tp", "vllm": "0.28.0"},
        "TP8 cannot run",
        "1536/8 = 192 .* 128",
        "TP4, DP8\\+EP",
    ),
    ({"settings": (("--tensor-parallel-size", "8"),), "vllm": "0.28.0"}, "TP8 cannot run", "192", "TP4"),
    ({"gpus": 16}, "--gpus 16: a node of h200 has 8 GPUs", "", "--gpus 8 --nodes 2"),
    ({"strategy": "multi_node_tp_dp"}, "does not list the strategy", "", "single_node_tp"),
    ({"strategy": "single_node_tp", "nodes": 2}, "uses one node, but --nodes is 2", "", "multi_node_tp"),
    ({"strategy": "multi_node_dep"}, "needs several nodes", "", "--nodes 2"),
    ({"gpus": 1}, "does not fit with TP1", "214.2 GiB", "--gpus with a larger number"),
    (
        {"hardware": "a100", "max_model_len": 196608},
        "196,608 tokens does not fit",
        "tokens for one request",
        "--max-model-len 155648",
    ),
    ({"max_model_len": 500_000}, "MiniMax-M2 has 196,608", "config.json", "--max-model-len 196608"),
    ({"settings": (("--tensor-parallel-size", "two"),)}, "must be a positive integer", "", ""),
    ({"settings": (("--data-parallel-size", "16"),)}, "DP16\\+EP cannot run", "16 GPUs, but 1 node", ""),
    ({"variant": "nvfp4"}, "unknown variant 'nvfp4'", "", "default"),
    ({"features": (("resoning", ""),)}, "unknown feature", "", "reasoning"),
    ({"features": (("reasoning", "fast"),)}, "unknown mode of reasoning", "", ""),
    ({"workarounds": ("piecewise",)}, "unknown workaround", "", "piecewise-cudagraphs"),
    ({"env": (("VLLM_USE_V1", "1"),)}, "does not know VLLM_USE_V1", "", ""),
    (
        {"env": (("VLLM_ALL2ALL_BACKEND", "x"),)},
        "does not know VLLM_ALL2ALL",
        "",
        "--set --all2all-backend=x",
    ),
    ({"env": (("HF_TOKEN", "hf_x"),)}, "--env HF_TOKEN", "a token must not be", "invoke login"),
    ({"access": "root"}, "unknown access profile", "", "least"),
    ({"access": "guide"}, "has no container flags for cuda", "rocm", "--access least"),
    ({"vllm": "0.11.0"}, "too old", "min_vllm_version", "--vllm 0.11.1"),
    ({"vllm": "newest"}, "not a vLLM version", "", "--vllm"),
    ({"settings": (("foo", "1"),)}, "is not a vLLM flag", "", ""),
]


@pytest.mark.parametrize(
    ("options", "what", "reason", "fix"), REFUSALS, ids=[str(row[0]) for row in REFUSALS]
)
def test_make_plan_refuses_with_a_reason_and_a_fix(
    options: dict[str, Any], what: str, reason: str, fix: str
) -> None:
    with pytest.raises(Refused, match=what) as refused:
        plan(**{"model": M2, "hardware": "h200", **options})
    assert refused.value.code == 2
    assert refused.match(what)
    assert re.search(reason, refused.value.why)
    assert re.search(fix, refused.value.fix)


def test_plan_as_dict_has_the_public_keys() -> None:
    data = json.loads(json.dumps(plan(M2, "h200", 8).as_dict()))
    keys = {
        "model",
        "platform",
        "image",
        "vllm_version",
        "strategy",
        "layout",
        "processes",
        "container",
        "fit",
    }
    assert keys | {"rejected", "reasons", "notes"} <= data.keys()
    assert data["layout"] == {"tp": 1, "pp": 1, "dp": 8, "ep": 8, "nodes": 1}
    assert data["processes"][0].keys() == {"role", "node", "argv", "env"}
    assert {"result", "kv_tokens", "kv_tokens_per_replica", "max_model_len", "per_gpu_gib"} <= data[
        "fit"
    ].keys()
    assert {"item", "why", "source"} == data["reasons"][0].keys()
    assert {"layout", "reason"} == data["rejected"][0].keys() if data["rejected"] else True


def test_make_plan_notes_that_options_of_the_user_are_not_checked() -> None:
    made = plan(M2, "h200", 4, vllm="0.13.0", settings=(("--of-that-version", "100"),))
    assert any("--set and --env are not checked" in note for note in made.notes)
    assert not any("not checked" in note for note in plan(M2, "h200", 4).notes)
