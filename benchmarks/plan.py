"""Measure how fast plans are made and how long `invoke` takes to start.

    python -m benchmarks.plan [--recipes DIR] [--seconds 3] [--runs 7] [--format json]

It counts plans per second on one core, over every model, hardware, strategy and number of GPUs of the recipes, and
times `invoke --list` and `invoke plan` as a multiple of bare `invoke` with one empty task (medians of alternating
runs).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from errors import Refused
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.repository import RecipeRepository, open_repository
from launch.recipes.schema import Recipe
from launch.spec.inputs import Host, Image
from launch.spec.plan_options import PlanOptions

ROOT = Path(__file__).parent.parent
BARE = "from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n"
PLAN = ("plan", "--model", "MiniMaxAI/MiniMax-M2", "--hardware", "h200", "--gpus", "4", "--format", "json")

Case = tuple[PlanOptions, Host, Recipe, Image]


def cases(recipes: RecipeRepository) -> list[Case]:
    """Return every combination that a user can request, valid or not."""
    combinations: list[Case] = []
    for recipe, hardware in itertools.product(recipes.read(recipes.names())[0], recipes.hardware.values()):
        image = image_for(hardware.platform, "0.32.0")
        for gpus, strategy in itertools.product((1, 2, 3, 4, 8), ("", *recipe.compatible_strategies)):
            nodes = 2 if strategy.startswith("multi") else 1
            host = Host(hardware, gpus, nodes, hub_cache="/hub", cache="/cache")
            combinations.append((PlanOptions(recipe.model.model_id, strategy), host, recipe, image))
    return combinations


def plans_per_second(recipes: RecipeRepository, seconds: float) -> dict[str, Any]:
    """Count plans per CPU second. Refusals are left out: they end early and would raise the figure."""
    made = refused = 0
    spent = 0.0
    rounds = itertools.cycle(cases(recipes))
    while spent < seconds:
        case = next(rounds)
        start = time.process_time()
        try:
            make_plan(*case, recipes.strategies)
        except Refused:
            refused += 1
            continue
        spent += time.process_time() - start
        made += 1
    return {"plans_per_second": round(made / spent), "plans": made, "refused": refused}


def start_up(runs: int) -> dict[str, Any]:
    """Return median seconds, and their ratio to bare `invoke`."""
    invoke = [sys.executable, "-m", "invoke"]
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as bytecode:
        (Path(empty) / "tasks.py").write_text(BARE)
        environment = _with_bytecode(bytecode)
        commands: dict[str, tuple[list[str], str | Path]] = {
            "bare": ([*invoke, "nothing"], empty),
            "--list": ([*invoke, "--list"], ROOT),
            "plan": ([*invoke, *PLAN], ROOT),
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _, (name, (argv, folder)) in itertools.product(range(runs + 1), commands.items()):
            taken[name].append(_seconds(argv, folder, environment))
    medians = {
        name: statistics.median(times[1:]) for name, times in taken.items()
    }  # the first run fills caches
    return {
        "seconds": {name: round(median, 3) for name, median in medians.items()},
        "times_bare": {
            name: round(median / medians["bare"], 2) for name, median in medians.items() if name != "bare"
        },
    }


def _with_bytecode(folder: str) -> dict[str, str]:
    """Return the environment with a folder for bytecode: without one, Python compiles every module at each start."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def _seconds(argv: list[str], folder: str | Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", default="")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    asked = parser.parse_args()
    figures = {**plans_per_second(open_repository(asked.recipes), asked.seconds), **start_up(asked.runs)}
    if asked.format == "json":
        print(json.dumps(figures))
        return
    print(f"plans: {figures['plans_per_second']:,} per second on one core ({figures['plans']:,} made)")
    for name, times in figures["times_bare"].items():
        seconds = figures["seconds"]
        print(f"invoke {name}: {times} times bare invoke ({seconds[name]} s, bare {seconds['bare']} s)")


if __name__ == "__main__":
    main()
