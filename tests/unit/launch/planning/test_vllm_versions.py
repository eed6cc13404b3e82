"""Options by vLLM version: the recipe's are adapted with a note, the user's are refused."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.adapt import adapt
from launch.planning.vllm_versions import USER, image_for, table
from launch.planning.vllm_versions import parse as version_of
from launch.spec.capabilities import Capabilities
from launch.spec.vllm_args import Draft, EnvVar, parse, to_argv


def draft(*argv: str, **env: str) -> Draft:
    return Draft(parse(argv, "recipe"), tuple(EnvVar(name, value, "recipe") for name, value in env.items()))


def at(version: str, command: Draft, capabilities: Capabilities | None = None) -> Draft:
    return adapt(command, image_for("rocm", version, "", capabilities))


def test_adapt_replaces_a_removed_variable_by_its_flag() -> None:
    recipe = draft(VLLM_ALL2ALL_BACKEND="allgather_reducescatter")
    assert at("0.15.1", recipe).env == recipe.env
    late = at("0.16.0", recipe)
    assert (to_argv(late.args), late.env) == (("--all2all-backend", "allgather_reducescatter"), ())
    assert "replaced by --all2all-backend" in late.corrections[0]


def test_adapt_replaces_a_new_flag_by_its_variable() -> None:
    early = at("0.11.1", draft("--all2all-backend", "pplx"))
    assert (early.args, early.env[0].name, early.env[0].value) == ((), "VLLM_ALL2ALL_BACKEND", "pplx")


def test_adapt_keeps_the_recipes_flag_over_a_replacement() -> None:
    recipe = draft("--all2all-backend", "deepep_v2", VLLM_ALL2ALL_BACKEND="pplx")
    assert to_argv(at("0.32.0", recipe).args) == ("--all2all-backend", "deepep_v2")


def test_adapt_leaves_out_removed_names_with_a_note() -> None:
    made = at("0.32.0", draft(VLLM_USE_FLASHINFER_MOE_FP4="1", OTHER="1"))
    assert [setting.name for setting in made.env] == ["OTHER"]
    assert made.corrections == (
        "vLLM 0.32.0 does not know VLLM_USE_FLASHINFER_MOE_FP4 (vLLM #44992, 2026-06-11): left out;"
        " --moe-backend chooses the kernel now",
    )


def test_adapt_keeps_unread_variables_with_a_note() -> None:
    made = at("0.32.0", draft(SAFETENSORS_FAST_GPU="1"))
    assert made.env and "dropped it in 2023" in made.notes[0]


@pytest.mark.parametrize("name", [name for name, row in table().env.items() if row.gone])
def test_adapt_refuses_a_removed_name_of_the_user(name: str) -> None:
    user = Draft(env=(EnvVar(name, "1", USER),))
    assert at("0.11.1", user).env == user.env
    with pytest.raises(Refused, match=f"does not know {name}"):
        at("0.33.0", user)


def test_adapt_prefers_capabilities_over_the_table() -> None:
    capabilities = Capabilities(
        "0.32.0", flags=frozenset({"--x", "--config"}), env=frozenset({"VLLM_USE_V1"})
    )
    made = at(
        "",
        draft("--no-x", "--config", "f.yaml", "--seed", "1", VLLM_USE_V1="1", VLLM_OTHER="1", OTHER="1"),
        capabilities,
    )
    assert to_argv(made.args) == ("--no-x", "--config", "f.yaml")
    assert [setting.name for setting in made.env] == ["VLLM_USE_V1", "OTHER"]


def test_capabilities_of_ignores_unknown_and_empty_keys() -> None:
    capabilities = Capabilities.of({"vllm_version": "0.32.0", "flags": ["--x"], "env": None, "new": 1})
    assert capabilities == Capabilities("0.32.0", flags=frozenset({"--x"}))


def test_parse_drops_pre_release_and_build_parts() -> None:
    assert str(version_of("0.21.0rc1+rocm722")) == "0.21.0"
    with pytest.raises(Refused, match="not a vLLM version"):
        version_of("nightly")


def test_image_for_knows_images_and_entrypoints() -> None:
    assert image_for("cuda", "0.32.0").reference == "vllm/vllm-openai:v0.32.0"
    assert image_for("cuda", "0.32.0").entrypoint == ("vllm", "serve")
    assert image_for("rocm", "0.11.1", "rocm/vllm-dev:nightly").entrypoint == ()
    assert image_for("cuda", "", "vllm/vllm-openai@sha256:" + "0" * 64).entrypoint == ("vllm", "serve")
    assert image_for("cuda", "", "localhost:5000/mine").entrypoint == ()


def test_image_for_marks_a_guessed_version_as_assumed() -> None:
    assert image_for("cuda", "", "vllm/vllm-openai:qwen38").assumed
    assert not image_for("cuda", "0.30.0", "vllm/vllm-openai:qwen38").assumed
    assert not image_for("cuda", "").assumed


def test_table_rows_have_a_source_and_a_release() -> None:
    rows = [*table().env.values(), *table().flags.values()]
    assert all(row.source and (row.since or row.gone) for row in rows)
    assert all(row.seen or (row.merged and row.pull) for row in rows)
