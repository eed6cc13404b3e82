"""`invoke plan`: what would run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from commands.output import show
from commands.shared_options import OUTPUT
from commands.task import verb
from errors import Failed
from launch.render import FORMATS
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions


@verb()
def plan(
    c: Context,
    options: PlanOptions,
    format: Annotated[str, Option("output format", choices=FORMATS, group=OUTPUT)] = "text",
    output: Annotated[
        str,
        Option("write the files of the format to this folder (default: stdout)", metavar="DIR", group=OUTPUT),
    ] = "",
) -> None:
    """Show what would run and why: image, command, container access, memory.

    Nothing is started.

    invoke plan --gpus 4
    invoke plan MiniMaxAI/MiniMax-M2.1 --hardware mi300x --gpus 8 --format compose
    """
    from launch.operations.plan_inputs import plan_of
    from launch.render import files, render

    made = plan_of(options)
    if output:
        _write(files(made, format), output)
        return
    text = render(made, format)
    show(text) if format == "text" else print(text)


def _write(texts: Mapping[str, str], output: str) -> None:
    """Write files to a folder and print their paths. Raises Failed if one cannot be written."""
    from launch.atomic_write import write_texts

    folder = Path(output).expanduser()
    paths = {folder / name: f"{text.rstrip()}\n" for name, text in texts.items()}
    try:
        write_texts(paths)
    except OSError as error:
        raise Failed(f"cannot write to '{output}'", why=error.strerror or str(error)) from error
    for path in paths:
        print(path)
