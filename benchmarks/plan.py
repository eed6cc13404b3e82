"""How fast plans are made, and what `invoke` costs before it does anything.

    python -m benchmarks.plan [--recipes DIR] [--seconds 3] [--runs 7] [--format json]

Plans a second on one core, over every model, hardware, strategy and number of GPUs of the recipes; and the
start-up of `invoke --list` and `invoke plan` as a multiple of bare `invoke` (one empty task): medians of
several runs, taken in turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
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
from launch.spec.inputs import Host, Image, PlanOptions

ROOT = Path(__file__).parent.parent
BARE = "from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n"
PLAN = ("plan", "--model", "MiniMaxAI/MiniMax-M2", "--hardware", "h200", "--gpus", "4", "--format", "json")

Case = tuple[PlanOptions, Host, Recipe, Image]


def cases(book: RecipeRepository) -> list[Case]:
    """Every combination that a user could ask for, legal or not."""
    found: list[Case] = []
    for recipe, hardware in itertools.product(book.read(book.names())[0], book.hardware.values()):
        image = image_for(hardware.platform, "0.32.0")
        for gpus, strategy in itertools.product((1, 2, 3, 4, 8), ("", *recipe.compatible_strategies)):
            host = Host(
                hardware, gpus, 2 if strategy.startswith("multi") else 1, hub_cache="/hub", cache="/cache"
            )
            found.append((PlanOptions(recipe.model.model_id, strategy), host, recipe, image))
    return found


def plans_a_second(book: RecipeRepository, seconds: float) -> dict[str, Any]:
    """Plans made in CPU seconds, refusals apart: those end early and would flatter the figure."""
    made = refused = 0
    spent = 0.0
    rounds = itertools.cycle(cases(book))
    while spent < seconds:
        case = next(rounds)
        start = time.process_time()
        try:
            make_plan(*case, book.strategies)
        except Refused:
            refused += 1
            continue
        spent += time.process_time() - start
        made += 1
    return {"plans_per_second": round(made / spent), "plans": made, "refused_beside": refused}


def start_up(runs: int) -> dict[str, Any]:
    """Medians in seconds, and how many times bare `invoke` they take."""
    invoke = [sys.executable, "-m", "invoke"]
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "tasks.py").write_text(BARE)
        commands = {
            "bare": ([*invoke, "nothing"], empty),
            "--list": ([*invoke, "--list"], ROOT),
            "plan": ([*invoke, *PLAN], ROOT),
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _, (name, (argv, folder)) in itertools.product(range(runs + 1), commands.items()):
            taken[name].append(_seconds(argv, folder))
    medians = {
        name: statistics.median(times[1:]) for name, times in taken.items()
    }  # the first run fills caches
    return {
        "seconds": {name: round(median, 3) for name, median in medians.items()},
        "times_bare": {
            name: round(median / medians["bare"], 2) for name, median in medians.items() if name != "bare"
        },
    }


def _seconds(argv: list[str], folder: str | Path) -> float:
    start = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--recipes", default="")
    words.add_argument("--seconds", type=float, default=3.0)
    words.add_argument("--runs", type=int, default=7)
    words.add_argument("--format", choices=("text", "json"), default="text")
    asked = words.parse_args()
    found = {**plans_a_second(open_repository(asked.recipes), asked.seconds), **start_up(asked.runs)}
    if asked.format == "json":
        print(json.dumps(found))
        return
    print(f"plans: {found['plans_per_second']:,} a second on one core ({found['plans']:,} made)")
    for name, times in found["times_bare"].items():
        seconds = found["seconds"]
        print(f"invoke {name}: {times} times bare invoke ({seconds[name]} s, bare {seconds['bare']} s)")


if __name__ == "__main__":
    main()
