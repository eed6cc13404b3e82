"""Check a user's table of symptoms: form, patterns, placeholders, and that no benign line matches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from launch.checked_data.data_file import load
from launch.diagnosis.candidates import match_line
from launch.diagnosis.innocent_lines import BENIGN
from launch.diagnosis.log_line import parse_line
from launch.diagnosis.log_prefixes import PrefixStripper
from launch.diagnosis.matcher import match_input
from launch.diagnosis.rules import Ends, Rule, Rules, compiled, load_rules
from launch.diagnosis.types import DiagnosisInput

_DERIVED = {"nearest", "parser", "utilization", "divisor", "fewer", "place"}


def check_symptoms(path: Path) -> list[str]:
    """Return the problems of a table, one line each; an empty list if it can be used. Raises Failed for its form."""
    rows = load(path, tuple[Rule, ...])
    known = load_rules()
    problems = [problem for row in rows for problem in _check_row(row, known)]
    if not problems:
        problems = [problem for row in rows for problem in _check_matches(row, known.ends)]
    return problems


def _check_row(row: Rule, known: Rules) -> Iterator[str]:
    if row.id in {rule.id for rule in known.rules}:
        yield f"{row.id}: a built-in symptom has this id; choose another one"
    if not row.patterns:
        yield f"{row.id}: patterns is empty"
    sources = (*row.patterns, row.explains, row.frames, row.raised_in, row.unless)
    for source in (*sources, *row.when.values(), *row.when_not.values()):
        try:
            compiled(source)
        except re.error as error:
            yield f"{row.id}: pattern '{source}' is not a regular expression: {error}"
            return
    groups = {name for pattern in row.patterns for name in compiled(pattern).groupindex} | _DERIVED
    for name in sorted(set(re.findall(r"<(\w+)>", f"{row.cause} {row.fix} {row.change}")) - groups):
        yield f"{row.id}: <{name}> is used, but no pattern has a group (?P<{name}>...)"


def _check_matches(row: Rule, ends: Ends) -> Iterator[str]:
    """Try the row alone on its own examples, which it must match, and on benign lines, which it must not."""
    alone = Rules((row,), ends)
    for example in row.examples:
        found = match_input(DiagnosisInput(example.splitlines(), exit_code=1), alone)
        if found.cause_id != row.id:
            yield f"{row.id}: the example '{example}' is not matched"
    for path in sorted(BENIGN.glob("*.log")):
        stripper = PrefixStripper()
        for raw in path.read_text(encoding="utf-8").splitlines():
            for stripped in stripper.strip(raw):
                line = parse_line(stripped)
                if not alone.is_non_fatal(line.text) and any(match_line(line, {}, "start", alone)):
                    yield f"{row.id}: matches a line of a healthy server: {raw.strip()[:120]}"
