"""The commands of the presets, scaled, and what they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Failed, Refused
from launch.bench.presets import (
    PER_SLOT,
    command,
    fresh_tokens,
    load_of,
    load_presets,
    option_values,
    percentile_needs,
    preset_of,
    presets,
    sampling_of,
    warmup_requests,
)
from launch.bench.record import Load

# The guide, "Benchmarking" and "Step 4".
GUIDE_CUDA = """vllm bench serve --backend vllm --model MiniMaxAI/MiniMax-M2 --endpoint /v1/completions
 --dataset-name random --random-input 2048 --random-output 1024 --max-concurrency 10 --num-prompt 100"""
GUIDE_ROCM = """vllm bench serve --model MiniMaxAI/MiniMax-M2 --dataset-name random --random-input-len 8000
 --random-output-len 1000 --request-rate 10000 --num-prompts 16 --ignore-eos"""
BUILTIN = load_presets()


@pytest.mark.parametrize(("name", "argv"), [("guide-cuda", GUIDE_CUDA), ("guide-rocm", GUIDE_ROCM)])
def test_command_is_that_of_the_guide(name: str, argv: str) -> None:
    assert command(BUILTIN[name], "MiniMaxAI/MiniMax-M2") == tuple(argv.split())


def test_spelled_out_has_the_full_names_of_options() -> None:
    argv = BUILTIN["guide-cuda"].spelled_out(command(BUILTIN["guide-cuda"], "m"))
    assert {"--random-input-len", "--random-output-len", "--num-prompts"} <= set(argv)
    assert "--num-prompt" not in argv


def test_command_scales_lengths_requests_and_concurrency() -> None:
    argv = " ".join(command(BUILTIN["guide-cuda"], "m", 0.1))
    assert "--random-input 205 --random-output 102 --max-concurrency 1 --num-prompt 10" in argv


@given(st.sampled_from(sorted(BUILTIN)), st.floats(0.0001, 1))
def test_a_scaled_load_keeps_enough_requests_and_even_groups(name: str, scale: float) -> None:
    preset = BUILTIN[name]
    load = load_of(preset, command(preset, "m", scale))
    slots = load.concurrency or 1
    assert load.requests >= PER_SLOT * slots
    assert load.requests % (load.prefixes or 1) == 0
    assert min(load.input_len or 0, load.output_len or 0, slots) >= 1
    assert fresh_tokens(preset, command(preset, "m", scale)) == load.input_len


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_a_preset_has_a_source_and_ten_rounds_of_requests(name: str) -> None:
    preset = BUILTIN[name]
    load = load_of(preset, preset.argv)
    assert preset.source
    assert load.requests >= 10 * (load.concurrency or 1)


def test_load_of_reads_the_commands_of_the_guide() -> None:
    cuda, rocm = (
        load_of(BUILTIN[name], command(BUILTIN[name], "m")) for name in ("guide-cuda", "guide-rocm")
    )
    assert (cuda.input_len, cuda.output_len, cuda.requests, cuda.concurrency) == (2048, 1024, 100, 10)
    assert (rocm.input_len, rocm.output_len, rocm.requests, rocm.request_rate) == (8000, 1000, 16, 10000)
    assert (cuda.request_rate, rocm.concurrency) == (None, None)


def test_load_of_reads_the_shared_prefixes_of_agents() -> None:
    load = load_of(BUILTIN["agent"], BUILTIN["agent"].argv)
    assert (load.prefix_len, load.prefixes, load.input_len) == (4096, 8, 512)


@pytest.mark.parametrize(
    ("vllm", "temperature", "ignore_eos"),
    [
        ("", None, True),
        ("0.32.0+cpu", None, True),
        ("0.14.1", 0, True),
        ("0.11.0", 0, False),
        ("dev", None, True),
    ],
)
def test_sampling_of_the_guide_depends_on_the_version_of_vllm(
    vllm: str, temperature: float | None, ignore_eos: bool
) -> None:
    sampling = sampling_of(tuple(GUIDE_CUDA.split()), vllm)
    assert (sampling.temperature, sampling.ignore_eos) == (temperature, ignore_eos)


def test_sampling_of_records_every_other_option() -> None:
    sampling = sampling_of(("vllm", "bench", "serve", "--temperature", "0.7", "--top-p", "0.9"))
    assert (sampling.temperature, sampling.ignore_eos, sampling.options) == (0.7, False, {"top-p": "0.9"})


def test_option_values_leave_out_switches() -> None:
    assert option_values(("--a", "1", "--b", "--c", "2")) == {"--a": "1", "--c": "2"}


def test_command_names_the_tokenizer_of_a_local_folder_or_of_the_served_commit() -> None:
    folder = command(BUILTIN["guide-rocm"], "mine", weights="/model")
    commit = command(BUILTIN["guide-cuda"], "org/m", commit="a" * 40)
    assert folder[-2:] == ("--tokenizer", "/model")
    assert commit[-2:] == ("--tokenizer", f"/hub/models--org--m/snapshots/{'a' * 40}")


def test_preset_of_refuses_an_unknown_name_and_suggests_one() -> None:
    with pytest.raises(Refused, match="guide-cude") as refused:
        preset_of("guide-cude", BUILTIN)
    assert "guide-cuda" in str(refused.value)


OWN = {"source": "x", "argv": ["vllm", "bench", "serve", "--num-prompts", "8"], "requests": "--num-prompts"}


def test_a_recipe_adds_presets_and_replaces_builtin_ones() -> None:
    found = presets({"chat": OWN, "mine": OWN}, "org/m")
    assert found["mine"] == found["chat"]
    assert found.keys() == BUILTIN.keys() | {"mine"}


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("../x", {}, "a name has lower-case letters"),
        ("mine", {"argv": ["sh", "-c", "x"]}, "argv must begin with vllm bench serve"),
        ("mine", {"requests": "--count"}, "argv must contain --count with an integer"),
        ("mine", {"lengths": ["--num-prompts", "--x"]}, "argv must contain --x with an integer"),
        ("mine", {"sauce": "x"}, "sauce: "),
        ("mine", {"argv": 5}, "argv: "),
    ],
)
def test_a_preset_of_a_recipe_that_is_not_valid_is_one_clear_error(
    name: str, change: dict[str, object], why: str
) -> None:
    with pytest.raises(Failed, match=f"the preset '{name}' of the recipe org/m is not valid") as failed:
        presets({name: {**OWN, **change}}, "org/m")
    assert failed.value.why.startswith(why)


def test_warmup_requests_are_two_for_each_slot() -> None:
    assert warmup_requests(Load(requests=100, concurrency=10)) == 20
    assert warmup_requests(Load(requests=16, request_rate=10000)) == 16


@pytest.mark.parametrize(("percent", "requests"), [(50, 6), (90, 30), (95, 60), (99, 300), (99.9, 3000)])
def test_percentile_needs_three_values_above_it(percent: float, requests: int) -> None:
    assert percentile_needs(percent) == requests
