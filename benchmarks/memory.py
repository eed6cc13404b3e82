"""Fit the memory that is neither weights nor KV cache on published starts of vLLM, and show the errors.

    python -m benchmarks.memory            # the table of docs/explanation/memory.md
    python -m benchmarks.memory --write    # also write the coefficients to launch/planning/overhead.yaml

The starts are in memory_points.yaml. Those with `use: check` or `use: blind` are only predicted. The fit minimizes
the squared errors in GiB, divided by the square root of the KV cache, because an error hurts most where little memory
is left.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from statistics import median

from launch.checked_data.data_file import load
from launch.planning.kv_cache import Limits, pool_of
from launch.planning.overhead import (
    Coefficients,
    Errors,
    Links,
    Sampler,
    Server,
    batch_of,
    in_flight,
    kind_of,
    overhead,
)
from launch.planning.weight_size import GIB, weights_gib
from launch.recipes.model_facts import published_shape
from launch.recipes.repository import builtin_shapes
from launch.spec.gpu_catalog import catalog
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout

POINTS = Path(__file__).with_name("memory_points.yaml")
TABLE = Path(__file__).parents[1] / "launch" / "planning" / "overhead.yaml"
NAMES = ("context", "fast", "pcie", "link_amd", "before", "since", "amd", "forward", "graphs", "vision")
KINDS = tuple(field.name for field in fields(Errors))
START = (0.25, 1.5, 0.5, 2.0, 9.0, 3.0, 4.0, 8.0, 0.5, 0.5)
STEPS = (0.05, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 1.0, 0.1, 0.1)
PRIOR = 0.003  # keeps a coefficient near its start if no point decides it


@dataclass(frozen=True)
class Point:
    """One published start."""

    use: str
    model: str
    hardware: str
    tp: int
    utilization: float
    context: int
    version: str
    source: str
    ep: int = 1
    total_gib: float | None = None
    weights_gib: float | None = None
    kv_gib: float | None = None
    kv_tokens: int | None = None
    kv_dtype: str = "auto"
    sequences: int | None = None
    batched_tokens: int | None = None
    eager: bool = False
    disputed: bool = False  # contradicts another start of its source
    shape: str = ""  # the checkpoint whose config.json counts, if that of `model` was not read


@dataclass(frozen=True)
class Start:
    """A point with everything that the fit needs: the other memory that was used, and the KV cache."""

    point: Point
    shape: ModelShape
    server: Server
    other_gib: float
    kv_gib: float

    def error(self, fitted: Coefficients) -> float:
        """Return the predicted KV cache, compared with the published one."""
        return (self.other_gib - sum(overhead(self.shape, self.server, fitted).values())) / self.kv_gib


def start_of(point: Point) -> Start:
    """Return the start of a point, with vLLM's defaults for what is not published."""
    name = point.shape or point.model
    shape = published_shape(name) or builtin_shapes()[name]
    card = catalog()[point.hardware]
    total, layout = point.total_gib or card.memory_gib, Layout(point.tp, ep=point.ep)
    batch = batch_of(point.hardware, total, point.version)
    tokens = point.batched_tokens or batch.tokens
    weights = point.weights_gib or weights_gib(shape, layout) or 0.0
    kv = point.kv_gib or _kv_gib(point, shape, layout, in_flight(tokens, point.version))
    server = Server(
        brand=card.brand,
        fast_links=card.fast_links,
        ranks=point.tp,
        sequences=point.sequences or batch.sequences,
        batched_tokens=tokens,
        version=point.version,
        graphs=not point.eager,
        context=point.context,
    )
    return Start(point, shape, server, total * point.utilization - weights - kv, kv)


def _kv_gib(point: Point, shape: ModelShape, layout: Layout, tokens: int) -> float:
    """Return the KV cache of the published number of tokens."""
    pool = pool_of(shape, layout, Limits(point.kv_dtype, in_flight=tokens))
    if pool is None or point.kv_tokens is None:
        raise ValueError(f"the KV cache of {point.model} is not known")
    return point.kv_tokens / point.context * pool.blocks_of(point.context) * pool.block_bytes / GIB


def coefficients(values: Sequence[float]) -> Coefficients:
    """Return the coefficients, in the order of NAMES."""
    context, fast, pcie, link_amd, before, since, amd, forward, graphs, vision = values
    return Coefficients(
        context, Links(fast, pcie, link_amd), Sampler(before, since, amd), forward, graphs, vision
    )


def loss(starts: Sequence[Start], values: Sequence[float]) -> float:
    """Return the sum of the weighted squared errors."""
    fitted = coefficients(values)
    errors = (start.error(fitted) ** 2 * start.kv_gib for start in starts)
    return sum(errors) + PRIOR * sum(((v - s) / w) ** 2 for v, s, w in zip(values, START, STEPS, strict=True))


def fit(starts: Sequence[Start]) -> tuple[float, ...]:
    """Return the coefficients with the smallest loss: one step at a time, with ever smaller steps."""
    values, scale = list(START), 4.0
    best = loss(starts, values)
    while scale > 0.01:
        improved = False
        for index, step in enumerate(STEPS):
            for direction in (step * scale, -step * scale):
                tried = [*values]
                tried[index] = max(0.0, tried[index] + direction)
                found = loss(starts, tried)
                if found < best - 1e-9:
                    values, best, improved = tried, found, True
        scale = scale if improved else scale / 2
    return tuple(round(value, 2) for value in values)


def lines(starts: Sequence[Start], fitted: Coefficients) -> list[str]:
    """Return the rows of the table in the documentation."""
    head = [
        "| use | model | GPUs | vLLM | other memory, GiB | predicted | KV cache, GiB | error |",
        "|" + "---|" * 8,
    ]
    return head + [_line(start, fitted) for start in sorted(starts, key=lambda s: s.point.use, reverse=True)]


def _line(start: Start, fitted: Coefficients) -> str:
    point, predicted = start.point, sum(overhead(start.shape, start.server, fitted).values())
    cells = (
        point.use,
        point.model.rpartition("/")[2],
        f"{point.tp}x {point.hardware}",
        point.version,
        f"{start.other_gib:.2f}",
        f"{predicted:.2f}",
        f"{start.kv_gib:.2f}",
        f"{start.error(fitted):+.1%}",
    )
    return f"| {' | '.join(cells)} |"


def summary(starts: Sequence[Start], fitted: Coefficients) -> str:
    """Return the median and the largest error of some starts, in percent of the KV cache."""
    errors = sorted(abs(start.error(fitted)) for start in starts)
    return f"{len(errors)} starts: median {median(errors):.1%}, worst {errors[-1]:.1%}"


def worst_of(starts: Sequence[Start], fitted: Coefficients, kind: str) -> float:
    """Return the largest difference in GiB of the starts of a kind that are not disputed, in either direction."""
    of_kind = [s for s in starts if kind_of(s.shape, s.server) == kind and not s.point.disputed]
    worst = max((abs(start.error(fitted) * start.kv_gib) for start in of_kind), default=0.0)
    return ceil(worst * 10) / 10


def write(values: Sequence[float], starts: Sequence[Start]) -> None:
    """Write the coefficients into overhead.yaml and keep its comments."""
    c = dict(zip(NAMES, values, strict=True))
    rows = {
        "context": f"{c['context']:g}",
        "links": f"{{fast: {c['fast']:g}, pcie: {c['pcie']:g}, amd: {c['link_amd']:g}}}",
        "sampler": f"{{before: {c['before']:g}, since: {c['since']:g}, amd: {c['amd']:g}}}",
        "forward": f"{c['forward']:g}",
        "graphs": f"{c['graphs']:g}",
        "vision": f"{c['vision']:g}",
        **{kind: f"{worst_of(starts, coefficients(values), kind):.1f}" for kind in KINDS},
    }
    text = TABLE.read_text()
    for name, value in rows.items():
        text = re.sub(
            rf"^(\s*{name}: )(?:\{{.*?\}}|[\d.]+)", rf"\g<1>{value}", text, count=1, flags=re.MULTILINE
        )
    TABLE.write_text(text)


def main() -> None:
    """Fit, print the table, and write the coefficients if asked."""
    parser = argparse.ArgumentParser(description="fit the other memory of a GPU on published starts of vLLM")
    parser.add_argument("--write", action="store_true", help="write the coefficients to overhead.yaml")
    starts = [start_of(point) for point in load(POINTS, tuple[Point, ...])]
    seen, unseen, blind = ([s for s in starts if s.point.use == use] for use in ("fit", "check", "blind"))
    values = fit(seen)
    fitted = coefficients(values)
    print("\n".join(lines(starts, fitted)))
    print(f"\nfitted: {dict(zip(NAMES, values, strict=True))}")
    print(
        f"fit:   {summary(seen, fitted)}\ncheck: {summary(unseen, fitted)}\nblind: {summary(blind, fitted)}"
    )
    counted = seen + unseen + blind
    for kind in KINDS:
        print(f"the largest difference of {kind}: {worst_of(counted, fitted, kind)} GiB")
    if parser.parse_args().write:
        write(values, counted)


if __name__ == "__main__":
    main()
