"""The figures of the usage guide next to a run of its benchmark: ratios, and no conclusion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launch.bench.compare_runs import summary
from launch.bench.history import Side
from launch.bench.metrics import Metric, load_metrics
from launch.checked_data.data_file import load

TABLE = Path(__file__).with_name("guide_figures.yaml")


@dataclass(frozen=True)
class GuideFigures:
    """The figures by key of the metric, and what was measured."""

    preset: str
    model: str
    setup: str
    figures: dict[str, float]

    @property
    def caution(self) -> str:
        """Return why these figures allow no conclusion."""
        return f"the guide's figures are one run of {self.model}, {self.setup}: one run, other hardware"


@dataclass(frozen=True)
class GuideRow:
    """One figure of the guide, the mean of the measured runs, and measured / guide."""

    metric: Metric
    guide: float
    measured: float

    @property
    def ratio(self) -> float:
        """Return measured / guide."""
        return self.measured / self.guide


def load_guide_figures() -> GuideFigures:
    """Read the figures of the guide."""
    return load(TABLE, GuideFigures)


def guide_rows(side: Side) -> tuple[GuideRow, ...]:
    """Return the figures that a side measured; empty unless its runs are the guide's benchmark in full size."""
    guide = load_guide_figures()
    if any(run.preset != guide.preset or run.scale != 1 for run in side.runs):
        return ()
    pairs = ((metric, summary(side, metric)) for metric in load_metrics() if metric.key in guide.figures)
    return tuple(GuideRow(metric, guide.figures[metric.key], found.mean) for metric, found in pairs if found)
