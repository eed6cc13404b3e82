"""Options of `vllm serve`: split from argv, merged, ordered and joined again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launch.spec.vllm_args import Arg, Draft, EnvVar, in_order, last_env, last_wins, parse, to_argv


def text(args: tuple[Arg, ...]) -> str:
    return " ".join(to_argv(args))


def test_parse_gives_a_value_to_the_flag_before_it() -> None:
    args = parse(["--a", "1", "--b", "--c", "x", "y", "--seed", "-1"])
    assert [(arg.flag, arg.values) for arg in args] == [
        ("--a", ("1",)),
        ("--b", ()),
        ("--c", ("x", "y")),
        ("--seed", ("-1",)),
    ]


def test_last_wins_keeps_the_last_occurrence_in_place() -> None:
    assert text(last_wins(parse(["--a", "1", "--b", "2", "--a", "3"]))) == "--b 2 --a 3"


def test_last_wins_treats_spellings_of_a_flag_as_one() -> None:
    assert text(last_wins(parse(["-tp", "2", "--tensor_parallel_size", "4"]))) == "--tensor_parallel_size 4"
    assert text(last_wins(parse(["--block-size=64", "--block-size", "256"]))) == "--block-size 256"
    assert (
        text(last_wins(parse(["-cc.mode", "3", "--compilation-config.mode", "1"])))
        == "--compilation-config.mode 1"
    )


def test_last_wins_treats_a_flag_and_its_negation_as_one() -> None:
    assert (
        text(last_wins(parse(["--no-enable-prefix-caching", "--enable-prefix-caching"])))
        == "--enable-prefix-caching"
    )
    assert (
        text(last_wins(parse(["--async-scheduling", "--x", "--no-async-scheduling"])))
        == "--x --no-async-scheduling"
    )


def test_last_wins_drops_all_values_of_an_earlier_flag() -> None:
    assert (
        text(last_wins(parse(["--served-model-name", "a", "b", "--x", "--served-model-name", "c"])))
        == "--x --served-model-name c"
    )


def test_in_order_moves_named_flags_and_keeps_the_rest() -> None:
    args = in_order(parse(["--z", "--b", "1", "--y", "--a"]), ["--a", "--b"])
    assert text(args) == "--a --b 1 --z --y"


def test_last_env_keeps_the_first_place_and_the_last_value() -> None:
    assert last_env([EnvVar("A", "1"), EnvVar("B", "2"), EnvVar("A", "3")]) == (
        EnvVar("A", "3"),
        EnvVar("B", "2"),
    )


def test_draft_number_returns_integers_and_defaults() -> None:
    draft = Draft(parse(["--a", "3", "--b", "x", "--c", "-1"]))
    assert [draft.number(flag) for flag in ("--a", "--b", "--c", "--d")] == [3, None, None, 1]


@given(st.lists(st.sampled_from(["--a", "--b=1", "-c", "x", '{"k": [1]}', "-2", "$X"]), max_size=12))
def test_parse_and_to_argv_lose_nothing(argv: list[str]) -> None:
    assert list(to_argv(parse(argv))) == argv
