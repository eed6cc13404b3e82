"""docs/reference/symptoms.md out of rules.yaml: `python -m launch.diagnosis.docs_page > docs/reference/symptoms.md`."""

from __future__ import annotations

import re

from launch.diagnosis.rules import Symptom, Table, table

HEAD = """\
# Symptoms

What `invoke diagnose` and `invoke run` know of failed starts. Made from `launch/diagnosis/rules.yaml`; a number as
source is an issue of vllm-project/vllm. A cure marked `auto` is safe: `--workaround auto` applies it unasked.
"""
TITLE = "| Symptom | Cause | Cure | Source |\n|---|---|---|---|\n"


def page(known: Table) -> str:
    """The whole page."""
    ends = [*known.signals.items(), *known.exits.items()]
    return (
        f"{HEAD}\n{TITLE}{''.join(_row(row.id, row) for row in known.symptoms)}"
        f"\n## How it ended, where its log says nothing\n\n{TITLE}{_row('OOMKilled', known.oom_killed)}"
        f"{_row('no word at all', known.silence)}"
        f"{''.join(_row(_end(number), row) for number, row in ends)}"
    )


def _end(number: int) -> str:
    return f"exit {number}" if number > 100 else f"signal {number}, exit {128 + number}"


def _row(name: str, row: Symptom) -> str:
    fix = f"{row.fix} (`auto`)" if row.safe else row.fix
    cause = row.cause.replace("[", "").replace("]", "")
    return f"| {name} | {_cell(cause)} | {_cell(fix)} | {_source(row.source)} |\n"


def _cell(text: str) -> str:
    return re.sub(r"<(\w+)>", lambda match: match[1].upper(), text).replace("|", "\\|")


def _source(text: str) -> str:
    return f"[#{text}](https://github.com/vllm-project/vllm/issues/{text})" if text.isdigit() else _cell(text)


if __name__ == "__main__":
    print(page(table()), end="")
