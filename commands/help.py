"""The help texts: of one verb, and the list of verbs."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from commands.program_name import GROUPS, program

if TYPE_CHECKING:
    from commands.task import Verb
    from launch.spec.option import Option

OPTIONS, OUTPUT = "Options", "Output"
ABOUT = "From a vLLM recipe to a serving, measured container."


def overview(verbs: Mapping[str, Verb]) -> str:
    """Format the list of verbs in groups, one line each."""
    lines = [f"Usage: {program()} COMMAND [ARGUMENTS] [OPTIONS]", "", ABOUT]
    width = max(map(len, verbs))
    for title, names in GROUPS.items():
        rows = [(name.ljust(width), summary(verbs[name])) for name in names if name in verbs]
        lines += ["", f"{title}:", *_columns(rows)]
    return "\n".join([*lines, "", "`invoke COMMAND --help` shows the options of a command."])


def summary(verb: Verb) -> str:
    """Return the first line of a verb's docstring."""
    return _docstring(verb).partition("\n")[0]


def verb_help(verb: Verb) -> str:
    """Format the help of one verb: usage, description, arguments, options in groups."""
    arguments = [option for option in verb.options if option.positional]
    usage = " ".join(o.placeholder if o.required else f"[{o.placeholder}]" for o in arguments)
    lines = [
        f"Usage: invoke {verb.name.replace('_', '-')} {usage}".rstrip() + " [OPTIONS]",
        "",
        _docstring(verb),
    ]
    if arguments:
        rows = [(o.placeholder, _described(o) + _also(o)) for o in arguments]
        lines += ["", "Arguments:", *_columns(rows)]
    grouped: dict[str, list[Option]] = {}
    for option in verb.options:
        if not option.positional:
            grouped.setdefault(option.group or OPTIONS, []).append(option)
    grouped[OUTPUT] = grouped.pop(OUTPUT, [])  # last
    specs = [_spec(option) for options in grouped.values() for option in options]
    width = min(max(map(len, specs), default=0), 32)
    for title, options in grouped.items():
        if options:
            lines += ["", f"{title}:", *_columns(((_spec(o), _described(o)) for o in options), width)]
    return "\n".join(lines)


def _docstring(verb: Verb) -> str:
    """Return the description, with the lines that begin with a command as examples."""
    lines = (inspect.getdoc(verb) or "").splitlines()
    examples = [f"  {line}" for line in lines if line.startswith("invoke ")]
    text = "\n".join(line for line in lines if not line.startswith("invoke ")).rstrip()
    return "\n".join([text, "", "Examples:", *examples]) if examples else text


def _also(option: Option) -> str:
    return f" (also --{option.flag})" if not option.required else ""


def _spec(option: Option) -> str:
    """Format the flags and the value of an option: `-p, --port PORT`."""
    short = f"-{option.short}, " if option.short and (option.invoke or program() == "slipway") else ""
    value = "" if option.kind is bool else f" {option.placeholder}"
    return f"{short}--{option.flag}{value}"


def _described(option: Option) -> str:
    """Return the help text with `(repeatable)` or the default."""
    facts = []
    if option.repeatable:
        facts.append("(repeatable)")
    elif option.default not in ("", None, False, 0) and not option.required:
        facts.append(f"[default: {option.default}]")
    return " ".join([option.help, *facts])


def _columns(rows: Iterable[tuple[str, str]], width: int = 0) -> list[str]:
    """Format names and texts in two columns. The text of a long name begins on the next line."""
    rows = list(rows)
    width = width or max(len(name) for name, _ in rows)
    space = max(30, min(shutil.get_terminal_size().columns, 100) - width - 5)
    lines = []
    for name, text in rows:
        first, *rest = textwrap.wrap(text, space, break_on_hyphens=False) or [""]
        if len(name) > width:
            lines.append(f"  {name}")
        lines.append(f"  {name if len(name) <= width else '':<{width}}  {first}".rstrip())
        lines += [f"  {'':<{width}}  {line}" for line in rest]
    return lines
