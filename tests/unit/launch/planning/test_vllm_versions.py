"""What a vLLM version knows: the recipe's words are adapted and noted, the user's are refused."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.vllm_versions import USER, adapt, image_for, table
from launch.planning.vllm_versions import parse as version_of
from launch.spec.capabilities import Capabilities
from launch.spec.vllm_args import Draft, Setting, parse, words


def draft(*argv: str, **env: str) -> Draft:
    return Draft(parse(argv, "recipe"), tuple(Setting(name, value, "recipe") for name, value in env.items()))


def at(version: str, given: Draft, capabilities: Capabilities | None = None) -> Draft:
    return adapt(given, image_for("rocm", version, "", capabilities))


def test_the_all2all_backend_is_an_env_before_and_a_flag_after_its_removal():
    asked = draft(VLLM_ALL2ALL_BACKEND="allgather_reducescatter")
    assert at("0.15.1", asked).env == asked.env
    late = at("0.16.0", asked)
    assert (words(late.args), late.env) == (("--all2all-backend", "allgather_reducescatter"), ())
    assert "takes its place" in late.corrections[0]


def test_the_flag_is_an_env_before_it_existed():
    early = at("0.11.1", draft("--all2all-backend", "pplx"))
    assert (early.args, early.env[0].name, early.env[0].value) == ((), "VLLM_ALL2ALL_BACKEND", "pplx")


def test_a_recipes_own_flag_wins_over_a_successor():
    assert words(at("0.32.0", draft("--all2all-backend", "a", VLLM_ALL2ALL_BACKEND="b")).args) == (
        "--all2all-backend",
        "a",
    )


def test_removed_names_without_successor_are_left_out_and_said_so():
    made = at("0.32.0", draft(VLLM_USE_FLASHINFER_MOE_FP4="1", OTHER="1"))
    assert [setting.name for setting in made.env] == ["OTHER"]
    assert made.corrections == (
        "vLLM 0.32.0 does not know VLLM_USE_FLASHINFER_MOE_FP4 (vLLM #44992, 2026-06-11): left out;"
        " --moe-backend chooses the kernel now",
    )


def test_what_nobody_reads_is_kept_and_noted():
    made = at("0.32.0", draft(SAFETENSORS_FAST_GPU="1"))
    assert made.env and "dropped it in 2023" in made.notes[0]


@pytest.mark.parametrize("name", [name for name, row in table().env.items() if row.gone])
def test_the_user_is_refused_a_removed_name(name):
    asked = Draft(env=(Setting(name, "1", USER),))
    assert at("0.11.1", asked).env == asked.env
    with pytest.raises(Refused, match=f"does not know {name}"):
        at("0.33.0", asked)


def test_a_contract_decides_over_the_table():
    capabilities = Capabilities(
        "0.32.0", flags=frozenset({"--x", "--config"}), env=frozenset({"VLLM_USE_V1"})
    )
    made = at(
        "",
        draft("--x", "--no-x", "--config.a.b", "1", "--y", VLLM_USE_V1="1", VLLM_OTHER="1", OTHER="1"),
        capabilities,
    )
    assert words(made.args) == ("--x", "--no-x", "--config.a.b", "1")
    assert [setting.name for setting in made.env] == ["VLLM_USE_V1", "OTHER"]


def test_a_contract_is_read_from_json_as_far_as_it_goes():
    capabilities = Capabilities.of({"vllm_version": "0.32.0", "flags": ["--x"], "env": None, "new": 1})
    assert capabilities == Capabilities("0.32.0", flags=frozenset({"--x"}))


def test_versions_without_their_build_parts():
    assert str(version_of("0.21.0rc1+rocm722")) == "0.21.0"
    with pytest.raises(Refused, match="not a vLLM version"):
        version_of("nightly")


def test_images_by_platform_and_their_entrypoints():
    assert image_for("cuda", "0.32.0").reference == "vllm/vllm-openai:v0.32.0"
    assert image_for("cuda", "0.32.0").entrypoint == ("vllm", "serve")
    assert image_for("rocm", "0.11.1", "rocm/vllm-dev:nightly").entrypoint == ()
    assert image_for("cuda", "", "vllm/vllm-openai@sha256:" + "0" * 64).entrypoint == ("vllm", "serve")
    assert image_for("cuda", "", "localhost:5000/mine").entrypoint == ()


def test_a_version_that_nobody_said_is_assumed():
    assert image_for("cuda", "", "vllm/vllm-openai:qwen38").assumed
    assert not image_for("cuda", "0.30.0", "vllm/vllm-openai:qwen38").assumed
    assert not image_for("cuda", "").assumed


def test_every_row_has_its_source():
    rows = [*table().env.values(), *table().flags.values()]
    assert all(row.source and (row.since or row.gone) for row in rows)
    assert all(row.seen or (row.merged and row.pull) for row in rows)
