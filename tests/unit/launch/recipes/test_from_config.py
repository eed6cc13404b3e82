"""A recipe made from a config.json, and the plan that follows from it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from errors import Refused
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.from_config import recipe_from
from launch.spec.capabilities import Capabilities
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from launch.weights.checkpoint import from_folder
from tests.unit.launch.checkpoints import GIB, HERMES, LLAMA, write_model
from tests.unit.launch.plan_builders import command, host, why

QWEN3 = {**LLAMA, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}
MOE = {
    **QWEN3,
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
}


def plan(
    folder: Path,
    hardware: str = "h100",
    gpus: int = 8,
    capabilities: Capabilities | None = None,
    **options: Any,
) -> Plan:
    machine = host(hardware, gpus)
    image = image_for(machine.hardware.platform, "0.32.0", "", capabilities)
    return make_plan(
        PlanOptions(str(folder), **options), machine, recipe_from(from_folder(str(folder))), image
    )


def test_a_small_model_gets_one_gpu_and_a_note_about_the_others(tmp_path: Path) -> None:
    made = plan(write_model(tmp_path / "Llama-8B"))
    assert (made.model, made.layout.tp, made.fit.result) == ("Llama-8B", 1, "fits")
    assert any("TP1 leaves 7 of 8 GPUs idle" in note for note in made.notes)
    assert any("no recipe for Llama-8B: planned from config.json" in note for note in made.notes)


def test_a_large_model_gets_the_smallest_layout_that_fits(tmp_path: Path) -> None:
    made = plan(write_model(tmp_path / "large", weights=140 * GIB))
    assert (made.layout.tp, made.fit.result) == (4, "fits")


def test_a_layout_that_the_heads_exclude_is_not_chosen(tmp_path: Path) -> None:
    odd = {**LLAMA, "num_attention_heads": 24, "num_key_value_heads": 3, "intermediate_size": 12288}
    assert plan(write_model(tmp_path / "odd", odd, weights=100 * GIB)).layout.tp == 3


def test_a_model_larger_than_the_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not fit with TP8"):
        plan(write_model(tmp_path / "huge", weights=900 * GIB))


def test_a_context_that_does_not_fit_is_shortened_with_a_note(tmp_path: Path) -> None:
    long = {**LLAMA, "max_position_embeddings": 1 << 20}
    made = plan(write_model(tmp_path / "long", long), gpus=1)
    assert made.fit.result == "fits"
    assert "--max-model-len" in command(made)
    assert any("--max-model-len" in note and "1,048,576" in note for note in made.notes)


def test_a_moe_model_gets_tensor_parallelism_and_may_be_given_expert_parallelism(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "moe", MOE, weights=40 * GIB)
    assert plan(folder).layout.name == "TP1"
    assert plan(folder, strategy="single_node_dep").layout.name == "DP8+EP"


def test_a_local_folder_is_mounted_read_only_and_served_under_its_name(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "my model+v2")
    made = plan(folder)
    assert made.model == "my-model-v2"
    assert command(made).startswith("vllm serve /model --served-model-name my-model-v2")
    (mount,) = (mount for mount in made.container.mounts if mount.target == "/model")
    assert (mount.source, mount.read_only) == (str(folder), True)
    assert made.local_folder == str(folder)
    assert "/hub" not in {mount.target for mount in made.container.mounts}
    assert "HF_HUB_CACHE" not in dict(made.environment(made.processes[0]))


def test_the_user_may_name_the_model(tmp_path: Path) -> None:
    made = plan(write_model(tmp_path / "x1"), settings=(("--served-model-name", "mine"),))
    assert made.model == "mine"


def test_parsers_are_set_for_a_template_with_tools_and_thinking(tmp_path: Path) -> None:
    made = plan(write_model(tmp_path / "qwen", QWEN3, HERMES + "<think>"))
    assert "--tool-call-parser hermes --enable-auto-tool-choice --reasoning-parser qwen3" in command(made)
    assert "model_type qwen3" in why(made, "--tool-call-parser")
    plain = plan(write_model(tmp_path / "plain", QWEN3, "{{ messages }}"))
    assert "parser" not in command(plain)


def test_a_model_with_mistrals_own_tokenizer_needs_no_template(tmp_path: Path) -> None:
    mistral = {**LLAMA, "model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    made = plan(write_model(tmp_path / "m1", mistral, tekken__json="{}"))
    assert "--tool-call-parser mistral" in command(made)
    assert not any("no chat template" in note for note in made.notes)
    base = plan(write_model(tmp_path / "m2", mistral))
    assert any("answers /v1/completions only" in note for note in base.notes)


def test_a_parser_that_the_image_lacks_is_left_out(tmp_path: Path) -> None:
    old = Capabilities(tool_parsers=frozenset({"mistral"}), reasoning_parsers=frozenset({"qwen3"}))
    made = plan(write_model(tmp_path / "qwen", QWEN3, HERMES + "<think>"), capabilities=old)
    assert "--tool-call-parser" not in command(made)
    assert "--reasoning-parser qwen3" in command(made)
    assert any("the image has no parser 'hermes'" in note for note in made.notes)


def test_notes_say_what_the_model_asks_for(tmp_path: Path) -> None:
    own_code = {**LLAMA, "model_type": "other", "auto_map": {"AutoModel": "code.Model"}}
    made = plan(write_model(tmp_path / "own", own_code, "{% if tools %}"))
    assert "trust-remote-code" not in command(made)
    assert any("--set --trust-remote-code=true" in note for note in made.notes)
    assert any("no tool parser is known for model_type other" in note for note in made.notes)
    trusted = plan(tmp_path / "own", settings=(("--trust-remote-code", "true"),))
    assert "--trust-remote-code" in command(trusted)


def test_the_share_of_the_memory_is_in_the_command_and_in_the_estimate(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m1")
    assert "--gpu-memory-utilization 0.92" in command(plan(folder))
    less = plan(folder, settings=(("--gpu-memory-utilization", "0.5"),))
    assert "0.92" not in command(less)
    assert (less.fit.kv_tokens or 0) < (plan(folder).fit.kv_tokens or 0)


def test_a_file_cannot_claim_to_be_such_a_recipe() -> None:
    from launch.recipes.loader import read_recipe

    recipe = read_recipe("model: {model_id: a/b}\nfolder: /etc\nnotes: [x]\n", "a.yaml")
    assert "folder" not in {field.name for field in fields(recipe)}
    assert set(recipe.unknown) == {"folder", "notes"}
