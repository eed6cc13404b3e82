"""The memory of one plan: what the options change, earlier starts, and what a plan says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.planning.memory import Demand
from launch.planning.memory_check import demand_of
from launch.planning.selection import Selection
from launch.recipes.strategy import builtin_strategies
from launch.spec.image_reference import short_id
from launch.spec.inputs import KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout, Plan
from launch.spec.vllm_args import Draft, parse
from tests.unit.launch.plan_builders import M2, host, m2_shape, plan, recipe

CONTEXT = 196608


def tokens(made: Plan) -> int:
    assert made.fit.kv_tokens_per_replica is not None
    return made.fit.kv_tokens_per_replica


def measured(kv_tokens: int, layout: Layout, image: str = "") -> KvMeasurement:
    return KvMeasurement(M2, "h200", layout, kv_tokens, image=image, context=CONTEXT)


def demand(
    *argv: str, hardware: str = "h200", version: str = "0.32.0", shape: ModelShape | None = None
) -> Demand:
    machine = host(hardware)
    selection = Selection(
        recipe(M2), "default", builtin_strategies()["single_node_tp"], machine.hardware, 4, 1
    )
    return demand_of(Draft(parse(argv)), Layout(4), shape or m2_shape(), machine, selection, version)


def test_a_plan_says_how_far_its_estimate_may_be_off() -> None:
    made = plan(M2, "h200", 4)
    assert made.fit.expected_error == pytest.approx(1.2 / 70.2, abs=0.001)
    assert "(expected error 1.2 GiB)" in made.fit.detail


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        ((), "sequences", 1024),
        (("--max-num-seqs", "64"), "sequences", 64),
        (("--max-num-batched-tokens", "4096"), "batched_tokens", 4096),
        (("--enforce-eager",), "graphs", False),
        (("--language-model-only",), "vision", False),
    ],
)
def test_options_change_what_the_server_needs(argv: tuple[str, ...], field: str, value: object) -> None:
    assert getattr(demand(*argv).server, field) == value


def test_a_draft_model_is_loaded_only_for_speculation() -> None:
    shape = replace(m2_shape(), mtp_layers=1)
    assert not demand(shape=shape).draft
    speculating = demand(
        "--speculative-config", '{"method": "mtp", "num_speculative_tokens": 2}', shape=shape
    )
    assert speculating.draft
    assert (speculating.limits.draft_layers, speculating.limits.state_pages) == (1, 4)


def test_the_memory_of_a_gpu_is_what_its_driver_reports() -> None:
    assert demand().vram_gib == pytest.approx(139.8, abs=0.1)
    assert demand(hardware="h100").vram_gib == pytest.approx(79.2, abs=0.2)


def test_the_start_of_this_layout_and_image_counts_first() -> None:
    image = short_id(plan(M2, "h200", 4).image)
    rows = (
        measured(900_000, Layout(4), image),
        measured(800_000, Layout(4), "another"),
        measured(100_000, Layout(dp=4, ep=4)),
    )
    assert tokens(plan(M2, "h200", 4, facts={"measured": rows})) == pytest.approx(900_000, rel=0.001)
    assert tokens(plan(M2, "h200", 4, facts={"measured": rows[1:]})) == pytest.approx(800_000, rel=0.001)


def test_a_start_on_other_hardware_does_not_count() -> None:
    other = (replace(measured(900_000, Layout(4)), hardware="h100"),)
    assert tokens(plan(M2, "h200", 4, facts={"measured": other})) == tokens(plan(M2, "h200", 4))


def test_a_start_says_more_than_the_estimate_even_if_it_says_that_less_fits() -> None:
    small = (measured(150_000, Layout(4)),)
    made = plan(M2, "h200", 4, facts={"measured": small})
    assert "--max-model-len" in " ".join(made.processes[0].argv)
    with pytest.raises(Refused, match="196,608 tokens does not fit"):
        plan(M2, "h200", 4, max_model_len=CONTEXT, facts={"measured": small})


def test_a_plan_that_leaves_gpus_idle_says_so() -> None:
    two = (("--tensor-parallel-size", "2"),)
    assert (
        "TP2 leaves 2 of 4 GPUs idle: to use 4: --set --tensor-parallel-size=4"
        in plan(M2, "mi300x", 4, settings=two).notes
    )
    assert not any("idle" in note for note in plan(M2, "mi300x", 4).notes)


def test_a_plan_names_the_key_that_makes_its_memory_unknown() -> None:
    odd = replace(m2_shape(), unknown="layer_types has 'new', which is not a known kind of layer")
    made = plan(M2, "h200", 4, facts={"shapes": {M2: odd}})
    assert made.fit.result == "unknown"
    assert "layer_types has 'new'" in made.fit.detail


def test_a_tight_plan_says_what_to_set() -> None:
    less = (("--gpu-memory-utilization", "0.87"),)
    tight = plan(M2, "h100", 4, settings=less)
    assert tight.fit.result == "tight"
    (note,) = (note for note in tight.notes if "tight" in note)
    assert note.startswith("the memory is tight: vLLM may refuse to start. To be safe: --max-model-len ")
    context = int(note.split()[-1])
    assert plan(M2, "h100", 4, settings=less, max_model_len=context).fit.result == "fits"
