"""The simulation of a fleet: its arithmetic in simple cases, and the table in the documentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import scale
from benchmarks.scale import Input, Site
from launch.checked_data.data_file import load

ROOT = Path(__file__).parents[3]
SITE = load(ROOT / "benchmarks/scale.yaml", Site)


def test_the_documentation_has_the_table_that_the_simulation_prints() -> None:
    text = (ROOT / "docs/explanation/scale.md").read_text()
    assert "\n".join(scale.table(scale.rows(SITE)).splitlines()[1:]) in text


def test_one_node_gets_its_copy_at_the_speed_of_the_site() -> None:
    assert scale.from_origin(SITE, 125, 1) == pytest.approx(100)
    assert scale.from_peers(SITE, 125, 1) == pytest.approx(100)


def test_the_hosts_with_a_copy_double_in_each_round() -> None:
    site = replace(SITE, served_gb_s=Input(1.25, "as fast as the site"))
    rounds = [scale.from_peers(site, 125, nodes) / 100 for nodes in (1, 2, 3, 4, 5, 8, 9, 1000)]
    assert rounds == pytest.approx([1, 2, 3, 3, 4, 4, 5, 11])


@given(st.integers(1, 300), st.floats(0.1, 1000))
def test_more_nodes_never_need_less_time(nodes: int, size: float) -> None:
    for way in (scale.from_origin, scale.from_mirror, scale.from_shared, scale.from_peers, scale.from_disk):
        assert way(SITE, size, nodes + 1) >= way(SITE, size, nodes)


@pytest.mark.parametrize(
    ("seconds", "text"), [(38.3, "38.3 s"), (200, "3.33 min"), (9000, "2.5 h"), (184_000, "2.13 d")]
)
def test_durations_have_the_unit_that_is_short(seconds: float, text: str) -> None:
    assert scale.duration(seconds) == text
