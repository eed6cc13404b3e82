"""A recipe's command is corrected with a reason where it is known what became of a name, and refused otherwise."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.adapt import adapt
from launch.planning.vllm_versions import USER
from launch.spec.inputs import Image
from launch.spec.vllm_args import Draft, EnvVar, parse, split_words, to_argv

RELEASE = Image("vllm/vllm-openai:v0.32.0", "0.32.0")
FORK = Image("example/fork:latest", "0.32.0", assumed=True)


def recipe(*argv: str, **env: str) -> Draft:
    return Draft(parse(argv, "m.yaml"), tuple(EnvVar(name, value, "m.yaml") for name, value in env.items()))


def user(*argv: str) -> Draft:
    return Draft(parse(argv, USER))


CORRECTED = {
    ("--tool-call-parser-plugin", "p.py"): (
        ("--tool-parser-plugin", "p.py"),
        "replaced by --tool-parser-plugin",
    ),
    ("--calculate-kv-scales",): ((), "vLLM 0.19.1 to 0.27.1 have it"),
    ("--disable-log-requests",): ((), "requests are not logged unless"),
    ("--attention-config.use_fp4_indexer_cache", "True"): (
        ("--attention-config", '{"indexer_kv_dtype": "mxfp4"}'),
        "replaced by indexer_kv_dtype mxfp4",
    ),
    ("--attention-config.use_fp4_indexer_cache", "False"): ((), "left out"),
    ("--attention-config", '{"use_fp4_indexer_cache": true, "backend": "FLASHMLA"}'): (
        ("--attention-config", '{"indexer_kv_dtype": "mxfp4", "backend": "FLASHMLA"}'),
        "replaced by indexer_kv_dtype mxfp4",
    ),
    ("--compilation-config", '{"mode": 3, "pass_config": {"enable_sp": true, "fuse_norm_quant": true}}'): (
        ("--compilation-config", '{"mode": 3, "pass_config": {"fuse_norm_quant": true}}'),
        "does not know the key enable_sp of PassConfig",
    ),
    ("--tensor-par", "2"): (
        ("--tensor-parallel-size", "2"),
        "--tensor-par is short for --tensor-parallel-size",
    ),
    ("-O3",): (("--optimization-level", "3"), "-O3 is short for --optimization-level"),
}


@pytest.mark.parametrize(("before", "after"), CORRECTED.items())
def test_adapt_corrects_a_recipe_and_says_why(
    before: tuple[str, ...], after: tuple[tuple[str, ...], str]
) -> None:
    made = adapt(recipe(*before), RELEASE)
    assert to_argv(made.args) == after[0]
    assert after[1] in "; ".join(made.corrections)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--tensor-paralel-size", "4"), "Did you mean `--tensor-parallel-size`"),
        (("--kv-cache-dtype", "fp9"), "m.yaml sets it"),
        (("--compilation-config", '{"mod": 3}'), "has no key 'mod'"),
        (("--max-num-seqs", "4", "5"), "takes one value, not 2"),
        (("--max-num-seqs",), "needs a value"),
        (("--enforce-eager", "true"), "takes no value"),
    ],
)
def test_adapt_refuses_what_no_version_knows(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        adapt(recipe(*argv), RELEASE)
    assert message in str(refusal.value)


def test_adapt_leaves_out_an_unknown_variable_of_a_recipe_and_keeps_those_of_others() -> None:
    made = adapt(recipe(VLLM_NO_SUCH="1", NCCL_DEBUG="INFO"), RELEASE)
    assert [variable.name for variable in made.env] == ["NCCL_DEBUG"]
    assert made.corrections == ("vLLM 0.32.0 does not know VLLM_NO_SUCH: left out",)


def test_adapt_keeps_names_that_a_fork_may_have() -> None:
    made = adapt(
        recipe("--attention-backend", "B12X_MLA_SPARSE", "--of-the-fork", VLLM_OF_THE_FORK="1"), FORK
    )
    assert to_argv(made.args) == ("--attention-backend", "B12X_MLA_SPARSE", "--of-the-fork")
    assert made.env
    assert made.corrections == ()


def test_adapt_checks_numbers_of_the_user_even_for_an_unknown_version() -> None:
    with pytest.raises(Refused, match="at most 1"):
        adapt(user("--gpu-memory-utilization", "7"), FORK)
    assert adapt(user("--of-the-fork", "7"), FORK).args


def test_adapt_accepts_the_parser_of_a_plugin() -> None:
    plugin = ("--tool-parser-plugin", "p.py", "--tool-call-parser", "mine")
    assert to_argv(adapt(user(*plugin), RELEASE).args) == plugin


def test_adapt_switches_an_option_off_in_the_spelling_of_the_version() -> None:
    assert to_argv(adapt(user("--no-async-scheduling"), RELEASE).args) == ("--no-async-scheduling",)
    assert adapt(user("--no-headless"), RELEASE).args == ()


def test_split_words_separates_a_flag_and_its_value() -> None:
    argv = ("--max-model-len auto", "-tp 4", '--cc {"a": 1}', "--x", "a b", "--y=1 2", "-1 2")
    words, why = split_words(argv)
    assert words == (
        "--max-model-len",
        "auto",
        "-tp",
        "4",
        "--cc",
        '{"a": 1}',
        "--x",
        "a b",
        "--y=1 2",
        "-1 2",
    )
    assert why[0] == "'--max-model-len auto' is one argument: split into --max-model-len and its value"
