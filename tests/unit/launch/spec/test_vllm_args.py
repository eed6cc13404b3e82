"""Words of a command line as options and back, without losing one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launch.spec.vllm_args import Draft, in_order, last_settings, last_wins, parse, words
from launch.spec.vllm_args import Setting as Env


def text(args):
    return " ".join(words(args))


def test_a_value_belongs_to_the_flag_before_it():
    args = parse(["--a", "1", "--b", "--c", "x", "y", "--seed", "-1"])
    assert [(arg.flag, arg.values) for arg in args] == [
        ("--a", ("1",)),
        ("--b", ()),
        ("--c", ("x", "y")),
        ("--seed", ("-1",)),
    ]


def test_the_last_of_two_wins_at_its_own_place():
    assert text(last_wins(parse(["--a", "1", "--b", "2", "--a", "3"]))) == "--b 2 --a 3"


def test_two_spellings_are_one_flag():
    assert text(last_wins(parse(["-tp", "2", "--tensor_parallel_size", "4"]))) == "--tensor_parallel_size 4"
    assert text(last_wins(parse(["--block-size=64", "--block-size", "256"]))) == "--block-size 256"
    assert (
        text(last_wins(parse(["-cc.mode", "3", "--compilation-config.mode", "1"])))
        == "--compilation-config.mode 1"
    )


def test_values_of_several_words_go_with_their_flag():
    assert (
        text(last_wins(parse(["--served-model-name", "a", "b", "--x", "--served-model-name", "c"])))
        == "--x --served-model-name c"
    )


def test_an_order_moves_what_it_names_and_keeps_the_rest():
    args = in_order(parse(["--z", "--b", "1", "--y", "--a"]), ["--a", "--b"])
    assert text(args) == "--a --b 1 --z --y"


def test_a_name_of_the_environment_keeps_its_place():
    assert last_settings([Env("A", "1"), Env("B", "2"), Env("A", "3")]) == (Env("A", "3"), Env("B", "2"))


def test_numbers_of_options():
    draft = Draft(parse(["--a", "3", "--b", "x", "--c", "-1"]))
    assert [draft.number(flag) for flag in ("--a", "--b", "--c", "--d")] == [3, None, None, 1]


@given(st.lists(st.sampled_from(["--a", "--b=1", "-c", "x", '{"k": [1]}', "-2", "$X"]), max_size=12))
def test_nothing_is_lost_on_the_way(given_words):
    assert list(words(parse(given_words))) == given_words
