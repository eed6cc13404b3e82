"""Upstream's sample: every command equal to the site's, or refused or corrected with a true reason."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from launch.planning.matrix import rows
from launch.planning.parallelism import SMALLEST_BLOCK
from launch.planning.vllm_versions import table
from launch.recipes.repository import known_shapes, open_repository
from tests.conftest import SHARED

SAMPLE = SHARED / "vllm-recipes"
pytestmark = pytest.mark.skipif(
    not SAMPLE.is_dir(), reason="the sample recipes are not beside this repository"
)


def key(row):
    return row["model"], row["hardware"], row["strategy"]


@pytest.fixture(scope="module")
def site():
    return {key(row): row for row in map(json.loads, (SAMPLE / "renderings.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def ours():
    return rendered()


def rendered(vllm: str = ""):
    book, shapes = open_repository(str(SAMPLE)), known_shapes()
    recipes, broken = book.read(book.own_names())
    assert broken == []
    return {key(row): row for recipe in recipes for row in rows(book, recipe, shapes, vllm)}


def test_the_same_commands_are_rendered(site, ours):
    assert ours.keys() == site.keys()


def test_every_row_is_equal_or_says_why_not(site, ours):
    silent = {k for k, row in ours.items() if row != site[k] and not {"refused", "corrected"} & row.keys()}
    assert silent == set()


def test_most_are_equal(site, ours):
    kinds = Counter(
        "refused" if "refused" in r else "corrected" if "corrected" in r else "equal" for r in ours.values()
    )
    assert kinds == {"equal": 881, "corrected": 99, "refused": 44}


def test_what_is_called_corrected_was_changed(site, ours):
    for k, row in ours.items():
        if "corrected" in row:
            assert {**row, "corrected": None} != {**site[k], "corrected": None}, k


def test_a_corrected_environment_lost_only_names_that_the_newest_vllm_does_not_know(site, ours):
    for k, row in ours.items():
        gone = site[k]["env"].keys() - row["env"].keys()
        if "refused" not in row:
            assert all(table().env[name].gone for name in gone), k
            assert all(name in row["corrected"] for name in gone), k


def test_a_corrected_layout_uses_the_gpus_that_are_there(site, ours):
    for row in ours.values():
        found = re.match(r"DP(\d+) x TP(\d+) = (\d+) GPUs, but there are (\d+)", row.get("corrected", ""))
        if found:
            dp, tp, product, there = map(int, found.groups())
            assert dp * tp == product > there
            argv = row.get("argv") or row["head_argv"]
            assert int(argv[argv.index("--data-parallel-size") + 1]) * tp == there


def test_refused_arithmetic_is_true(site, ours):
    """Each sum in a refusal is done again here from its own numbers."""
    for row in ours.values():
        why = row.get("refused", "")
        for width, cuts, part, block in re.findall(
            r"(\d+)/(\d+) = (\d+) is not divisible by the fp8 block of (\d+)", why
        ):
            assert int(width) / int(cuts) == int(part)
            assert int(part) % int(block)
            assert int(part) >= SMALLEST_BLOCK
        for tp, dcp in re.findall(r"TP(\d+) / decode context parallel (\d+)", why):
            assert int(tp) % int(dcp)


def test_the_known_faults_of_the_site_are_not_copied(ours):
    for model in ("MiniMaxAI/MiniMax-M2", "MiniMaxAI/MiniMax-M2.5"):
        assert "DP8 x TP2 = 16 GPUs" in ours[model, "mi300x", "single_node_dep"]["corrected"]
        assert "TP16: expert intermediate 1536/16 = 96" in ours[model, "h200", "multi_node_tp"]["refused"]
        assert "TP8: expert intermediate 1536/8 = 192" in ours[model, "h200", "multi_node_tp_pp"]["refused"]
        assert "refused" not in ours[model, "h200", "multi_node_tep"]


def test_for_one_version_a_row_is_judged_by_that_version():
    late = rendered(vllm="0.33.0")
    assert "refused" not in late["MiniMaxAI/MiniMax-M2", "h200", "multi_node_tp"]
