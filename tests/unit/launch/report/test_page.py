"""What a page says: its groups, its headline, its table and its commands."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.report.page import change_lines, headline, metric_table, outcome, repeat_command, serve_command
from tests.unit.launch.bench.group_data import VOID
from tests.unit.launch.report.page_data import example, group, page, served


def test_the_newest_usable_group_is_compared_with_the_one_before_of_its_load() -> None:
    found = page(group("a", [100, 101]), group("b", [80, 81], 1, users=2), group("c", [100, 102], 2))
    assert found.main.name == "c"
    assert found.comparison is not None
    assert found.comparison.old.name == "a"
    assert [side.name for side in found.history] == ["a", "c"]


def test_a_void_group_is_never_the_main_one() -> None:
    found = page(group("a", [100, 101]), group("b", [500, 501], 1, validity=VOID))
    assert (found.main.name, found.comparison) == ("a", None)


def test_the_headline_has_the_result_the_figure_and_the_interval() -> None:
    assert headline(example()).startswith(
        "Slower: 330 output tok/s ±0.6% (3 runs, good), 0.825 times 'old', 95% interval "
    )
    assert outcome(example()) == "slower"


def test_one_group_says_that_there_is_nothing_to_compare_with() -> None:
    alone = page(group("a", [100, 101]))
    assert headline(alone).endswith("no earlier group of this load to compare with")
    assert (outcome(alone), change_lines(alone)) == ("unclear", [])
    headers, rows = metric_table(alone)
    assert headers == ["Metric", "Now"]
    assert rows[0] == ["output tokens (tok/s)", "100.5 ±0.7%"]


def test_the_table_has_the_columns_of_the_comparison() -> None:
    headers, rows = metric_table(example())
    assert headers == ["Metric", "Now", "Before", "Ratio", "95% interval", "Result"]
    assert (rows[0][0], rows[0][3], rows[0][5]) == ("output tokens (tok/s)", "0.825", "slower")
    assert {len(row) for row in rows} == {6}


def test_what_changed_is_listed() -> None:
    assert change_lines(example()) == ["image: sha256:aa -> sha256:bb"]
    same = page(group("a", [100, 101]), group("b", [100, 101], 1))
    assert change_lines(same) == ["nothing that is recorded"]


def test_the_commands_measure_the_main_group_again() -> None:
    found = page(group("a", [100, 101], scale=0.1, preset="my preset", server=served(argv=("vllm", "x y"))))
    assert repeat_command(found) == "invoke bench --preset 'my preset' --scale 0.1 --repeat 2"
    assert serve_command(found) == "vllm 'x y'"


def test_a_point_of_a_sweep_is_measured_again_by_a_sweep() -> None:
    assert repeat_command(page(group("a", [100], users=7))) == (
        "invoke bench --preset guide-cuda --sweep concurrency=7"
    )


def test_records_of_two_models_are_refused_in_one_line() -> None:
    with pytest.raises(Refused, match="one model") as end:
        page(group("a", [100]), group("b", [100], 1, server=served(model="other/model")))
    assert "MiniMaxAI/MiniMax-M2, other/model" in end.value.why


def test_a_page_without_a_usable_run_is_refused_with_the_reason() -> None:
    with pytest.raises(Refused, match="no run of 'a' can be compared") as end:
        page(group("a", [100, 101], validity=VOID))
    assert end.value.why == "2 void: 94 % of prompts were cached"


def test_a_page_without_records_is_refused() -> None:
    with pytest.raises(Refused, match="no recorded runs"):
        page()
