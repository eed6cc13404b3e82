"""Print the page of symptoms: `python -m launch.diagnosis.docs_page > docs/reference/symptoms.md`."""

from __future__ import annotations

import re

from launch.diagnosis.rules import Rule, Rules, load_rules

HEAD = """\
# Symptoms

The failures that `invoke diagnose` and `invoke run` recognize, generated from `launch/diagnosis/rules/`. A number
in the column Source is an issue of vllm-project/vllm. A fix marked `auto` is safe: `--workaround auto` applies it.
"""
TABLE_HEAD = "| Symptom | Cause | Fix | Source |\n|---|---|---|---|\n"


def render_page(rules: Rules) -> str:
    """Render the whole page, with commands as the other pages write them."""
    ends = [*rules.ends.signals.items(), *rules.ends.exits.items()]
    page = (
        f"{HEAD}\n{TABLE_HEAD}{''.join(_row(rule.id, rule) for rule in rules.rules)}"
        f"\n## Recognized by how the process ended\n\n{TABLE_HEAD}{_row('OOMKilled', rules.ends.oom_killed)}"
        f"{_row('no error in the log', rules.ends.silent_end)}"
        f"{''.join(_row(_end(number), rule) for number, rule in ends)}"
    )
    return re.sub(r"\binvoke(?= [a-z-])", "slipway", page)


def _end(number: int) -> str:
    return f"exit {number}" if number > 100 else f"signal {number}, exit {128 + number}"


def _row(name: str, rule: Rule) -> str:
    fix = f"{rule.fix} (`auto`)" if rule.safe else rule.fix
    cause = rule.cause.replace("[", "").replace("]", "")
    return f"| {name} | {_cell(cause)} | {_cell(fix)} | {_source(rule.source)} |\n"


def _cell(text: str) -> str:
    return re.sub(r"<(\w+)>", lambda match: match[1].upper(), text).replace("|", "\\|")


def _source(text: str) -> str:
    return f"[#{text}](https://github.com/vllm-project/vllm/issues/{text})" if text.isdigit() else _cell(text)


if __name__ == "__main__":
    print(render_page(load_rules()), end="")
