"""Write the pages of docs/reference that follow from the code: commands, settings and the record of a benchmark.

python -m scripts.generate_reference
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from commands.program_name import GROUPS
from commands.settings import PREFIXES
from errors import Failed, Refused
from launch.bench.record import json_schema
from tasks import ns

if TYPE_CHECKING:
    from commands.task import Verb
    from launch.spec.option import Option

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make reference` from the code. Do not edit. -->\n\n"
VERBS: dict[str, Verb] = dict(ns.tasks)
COMMON = set.intersection(*({option.flag for option in verb.options} for verb in VERBS.values()))


def commands_page() -> str:
    """Return the page of all commands."""
    parts = [
        f"{NOTE}# Commands\n\n`slipway COMMAND --help` prints the same. In a clone, write `invoke` for `slipway`.\n"
        "With `invoke`, use the long form of an option.\n\n"
        "An optional argument can also be given as an option: `slipway plan --model MODEL`. "
        "A repeatable option adds a value each time it is used.\n\n## Options of every command\n",
        *_table("Option", ((_spelled(o), o) for o in VERBS["ps"].options if o.flag in COMMON)),
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [command(name, VERBS[name]) for name in names]
    return "\n".join(parts)


def command(name: str, verb: Verb) -> str:
    """Return the section of one command: usage, description, examples, arguments and options."""
    description, examples = _docstring(verb)
    arguments = [option for option in verb.options if option.positional]
    usage = [o.placeholder if o.required else f"[{o.placeholder}]" for o in arguments]
    lines = [
        f"### {name}\n",
        f"{description}\n",
        "```text",
        " ".join(["slipway", name, *usage, "[OPTIONS]"]),
        "```\n",
    ]
    if examples:
        lines += ["```sh", *examples, "```\n"]
    if arguments:
        lines += _table("Argument", ((o.placeholder, o) for o in arguments))
    grouped: dict[str, list[Option]] = {}
    for option in verb.options:
        if not option.positional and option.flag not in COMMON:
            grouped.setdefault(option.group or "Options", []).append(option)
    for group, options in grouped.items():
        lines += _table(group, ((_spelled(o), o) for o in options))
    return "\n".join(lines)


def _docstring(verb: Verb) -> tuple[str, list[str]]:
    """Split a docstring into its text, with paragraphs on one line, and its example commands."""
    lines = (inspect.getdoc(verb) or "").splitlines()
    examples = [
        line.strip().replace("invoke ", "slipway ", 1) for line in lines if line.strip().startswith("invoke ")
    ]
    text = [line for line in lines if not line.strip().startswith("invoke ")]
    paragraphs = "\n".join(text).strip().split("\n\n")
    return _text("\n\n".join(" ".join(part.split()) for part in paragraphs)), examples


def _table(title: str, rows: Iterable[tuple[str, Option]]) -> list[str]:
    return [
        f"| {title} | Description |",
        "|---|---|",
        *(f"| {_code(name)} | {_described(o)} |" for name, o in rows),
        "",
    ]


def _spelled(option: Option) -> str:
    """Return an option with its short form and its placeholder, e.g. `-p, --port PORT`."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.flag}" + ("" if option.kind is bool else f" {option.placeholder}")


def _described(option: Option) -> str:
    facts = [_text(option.help)]
    if option.repeatable:
        facts.append("(repeatable)")
    elif option.default not in ("", None, False, 0) and not option.required:
        facts.append(f"[default: `{option.default}`]")
    if option.setting:
        facts.append(f"[setting: `{option.key}`]")
    return _cell(" ".join(facts))


def settings_page() -> str:
    """Return the page of settings and exit codes."""
    used: dict[str, list[str]] = {}
    options: dict[str, Option] = {}
    for name in dict.fromkeys(("plan", *sorted(VERBS))):  # `plan` has the most general help text
        for option in VERBS[name].options:
            if option.setting:
                used.setdefault(option.key, []).append(name)
                options.setdefault(option.key, option)
    rows = [
        f"| `{key}` | `{PREFIXES[-1]}{key.upper()}` | {_cell(_text(option.help))} | {', '.join(sorted(used[key]))} |"
        for key, option in sorted(options.items())
    ]
    return f"""{NOTE}# Settings and exit codes

A setting is the default of an option. A value comes from the first of these that sets it: the option on the command
line, the environment, the configuration file, the built-in default.

The configuration file is `slipway.yaml` in the current folder, or another one with `--config`. Its keys are the names
below:

```yaml
model: MiniMaxAI/MiniMax-M2.1
platform: cuda
```

Without `slipway.yaml`, the key `slipway:` of `invoke.yaml` is used. `invoke` reads only the `invoke.yaml` of the clone.
An unknown key is an error.

## Settings

| Name | Environment | Meaning | Commands |
|---|---|---|---|
{chr(10).join(rows)}

`{PREFIXES[0]}NAME` works too. [Environment variables](environment.md) lists variables that are not settings.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | success |
| {Failed.code} | the operation failed; of `doctor`: a launch would fail |
| {Refused.code} | the request was invalid; nothing was started |
| 130 | interrupted with Ctrl-C |
"""


def record_page() -> str:
    """Return the page of the record of a benchmark."""
    return f"""{NOTE}# Record of a benchmark

`slipway bench` writes each run as one line of JSON that follows this JSON schema. A later version may add fields. It
raises `schema` if an older reader would misread a record, and Slipway refuses records with a newer `schema`.

```json
{json.dumps(json_schema(), indent=2)}
```
"""


def _code(text: str) -> str:
    """Return a code span; in a table, a vertical bar in backquotes is printed differently by each renderer."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _text(text: str) -> str:
    return text.replace("`invoke ", "`slipway ").replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the pages."""
    (FOLDER / "commands.md").write_text(commands_page())
    (FOLDER / "settings.md").write_text(settings_page())
    (FOLDER / "bench-record.md").write_text(record_page())


if __name__ == "__main__":
    main()
