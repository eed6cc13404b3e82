"""Measure the CPU time of a diagnosis: how it grows with the number of rules and with the size of the log.

python -m benchmarks.diagnose [MEGABYTES]
"""

from __future__ import annotations

import random
import string
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from launch.diagnosis.matcher import match_input
from launch.diagnosis.rules import Rule, Rules, load_rules
from launch.diagnosis.types import DiagnosisInput

LINES = 4000
FEW, MANY = 150, 1000
LINE_LENGTH = 150


def words(seed: random.Random, count: int) -> str:
    """Return random words: no line of a real log is so hard to skip."""
    return " ".join("".join(seed.choices(string.ascii_lowercase, k=seed.randint(3, 9))) for _ in range(count))


def odd_lines(count: int) -> list[str]:
    seed = random.Random(7)
    return [f"ERROR: {words(seed, 3)} failed: {words(seed, 16)}" for _ in range(count)]


def with_rules(rules: Rules, count: int) -> Rules:
    """Return a table of `count` rules: the first of the real ones, or the real ones and made-up ones."""
    seed = random.Random(11)
    new = (
        Rule(f"made-up-{n}", "x", "x", "x", (rf"{words(seed, 2)} .{{0,60}}{words(seed, 2)} (?P<n>\d+)",))
        for n in range(max(0, count - len(rules.rules)))
    )
    return replace(rules, rules=(*rules.rules[:count], *new))


def seconds(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def new_warnings(size: int) -> Iterator[str]:
    """Yield warnings of vLLM that never repeat, up to a size in bytes."""
    seed = random.Random(3)
    pool = [words(seed, 8) for _ in range(1000)]
    for number in range(size // LINE_LENGTH):
        text = f"{pool[number % 1000]} {number:x} {pool[(number * 7) % 999]}"
        yield f"(EngineCore pid=7) WARNING 11-23 02:58:24 [core.py:{number % 999}] {text}"[:LINE_LENGTH]


def main() -> None:
    rules = load_rules()
    lines = odd_lines(LINES)

    def fastest(table: Rules) -> float:
        return min(seconds(lambda: match_input(DiagnosisInput(lines, 1), table)) for _ in range(3))

    few, many = fastest(with_rules(rules, FEW)), fastest(with_rules(rules, MANY))
    print(
        f"{LINES} odd lines: {few:.2f} s with {FEW} rules, {many:.2f} s with {MANY} ({many / few:.2f} times)"
    )
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    warnings = list(new_warnings(size * 10**6))
    spent = seconds(lambda: match_input(DiagnosisInput(warnings), rules))
    print(f"{sum(map(len, warnings)) / 1e6:.0f} MB of new warnings: {spent:.1f} s")


if __name__ == "__main__":
    main()
