"""Every command of upstream's recipes: equal to the site's, or refused or corrected with a correct reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from launch.planning.matrix import rows
from launch.planning.parallelism import SMALLEST_BLOCK
from launch.planning.vllm_versions import table
from launch.recipes.repository import builtin_shapes, open_repository
from tests.conftest import SHARED

SAMPLE = SHARED / "vllm-recipes"
pytestmark = pytest.mark.skipif(not SAMPLE.is_dir(), reason="upstream's recipes are not in ../shared")


Row = dict[str, Any]
Rows = dict[tuple[str, str, str], Row]


def key(row: Row) -> tuple[str, str, str]:
    return row["model"], row["hardware"], row["strategy"]


@pytest.fixture(scope="module")
def site() -> Rows:
    return {key(row): row for row in map(json.loads, (SAMPLE / "renderings.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def every() -> Rows:
    return render_all()


@pytest.fixture(scope="module")
def rendered(site: Rows, every: Rows) -> Rows:
    """The rows that the site's sample has: those of the recipes' own names."""
    return {k: row for k, row in every.items() if k in site}


def render_all(vllm: str = "") -> Rows:
    repository, shapes = open_repository(str(SAMPLE)), builtin_shapes()
    recipes, broken = repository.read(repository.first_folder_names())
    assert broken == []
    return {key(row): row for recipe in recipes for row in rows(repository, recipe, shapes, vllm)}


def test_rows_cover_the_same_commands_as_the_site(site: Rows, every: Rows, rendered: Rows) -> None:
    assert rendered.keys() == site.keys()
    recipes = {model for model, _, _ in site}
    assert {k for k in every if k[0] in recipes} == site.keys()


def test_variants_with_a_checkpoint_have_rows_under_its_name(every: Rows, rendered: Rows) -> None:
    promoted = [row for k, row in every.items() if k not in rendered]
    assert len(promoted) > 900
    row = every["RedHatAI/MiniMax-M2-NVFP4", "b200", "single_node_tp"]
    assert (row["variant"], row["argv"][2]) == ("nvfp4", "RedHatAI/MiniMax-M2-NVFP4")
    assert ("RedHatAI/MiniMax-M2-NVFP4", "h200", "single_node_tp") not in every


def test_rows_equal_the_sites_or_explain_the_difference(site: Rows, rendered: Rows) -> None:
    silent = {
        k for k, row in rendered.items() if row != site[k] and not {"refused", "corrected"} & row.keys()
    }
    assert silent == set()


def test_rows_are_mostly_equal_to_the_sites(site: Rows, rendered: Rows) -> None:
    kinds = Counter(
        "refused" if "refused" in r else "corrected" if "corrected" in r else "equal"
        for r in rendered.values()
    )
    assert kinds == {"equal": 878, "corrected": 102, "refused": 44}


def test_corrected_rows_differ_from_the_sites(site: Rows, rendered: Rows) -> None:
    for k, row in rendered.items():
        if "corrected" in row:
            assert {**row, "corrected": None} != {**site[k], "corrected": None}, k


def test_corrected_environments_lose_only_variables_that_vllm_removed(site: Rows, rendered: Rows) -> None:
    for k, row in rendered.items():
        gone = site[k]["env"].keys() - row["env"].keys()
        if "refused" not in row:
            assert all(table().env[name].gone for name in gone), k
            assert all(name in row["corrected"] for name in gone), k


def test_corrected_layouts_use_the_available_gpus(site: Rows, rendered: Rows) -> None:
    for row in rendered.values():
        match = re.match(r"DP(\d+) x TP(\d+) = (\d+) GPUs, but there are (\d+)", row.get("corrected", ""))
        if match:
            dp, tp, product, available = map(int, match.groups())
            assert dp * tp == product > available
            argv = row.get("argv") or row["head_argv"]
            assert int(argv[argv.index("--data-parallel-size") + 1]) * tp == available


def test_arithmetic_of_refused_rows_is_correct(site: Rows, rendered: Rows) -> None:
    """Each division in a refusal is repeated here with its own numbers."""
    for row in rendered.values():
        why = row.get("refused", "")
        for width, cuts, part, block in re.findall(
            r"(\d+)/(\d+) = (\d+) is not divisible by the fp8 block of (\d+)", why
        ):
            assert int(width) / int(cuts) == int(part)
            assert int(part) % int(block)
            assert int(part) >= SMALLEST_BLOCK
        for tp, dcp in re.findall(r"TP(\d+) / decode context parallel (\d+)", why):
            assert int(tp) % int(dcp)


def test_rows_correct_or_refuse_the_known_faults_of_the_site(rendered: Rows) -> None:
    for model in ("MiniMaxAI/MiniMax-M2", "MiniMaxAI/MiniMax-M2.5"):
        assert "DP8 x TP2 = 16 GPUs" in rendered[model, "mi300x", "single_node_dep"]["corrected"]
        assert "TP16: expert intermediate 1536/16 = 96" in rendered[model, "h200", "multi_node_tp"]["refused"]
        assert (
            "TP8: expert intermediate 1536/8 = 192" in rendered[model, "h200", "multi_node_tp_pp"]["refused"]
        )
        assert "refused" not in rendered[model, "h200", "multi_node_tep"]


def test_rows_for_one_version_are_checked_with_that_version() -> None:
    late = render_all(vllm="0.33.0")
    assert "refused" not in late["MiniMaxAI/MiniMax-M2", "h200", "multi_node_tp"]
