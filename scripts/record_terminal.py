"""Run a command in a terminal and save what it shows as two SVG pictures, for light and for dark pages.

    python scripts/record_terminal.py docs/assets/plan --lines 22 -- slipway plan --hardware h200 --gpus 4

The pictures load no font and no script. `slipway` is the program of this clone.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
THEMES = {"light": DEFAULT_TERMINAL_THEME, "dark": DIMMED_MONOKAI}
# The variables of rich's Console.export_svg. No @font-face: the reader's own monospace font is used.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def output_of(command: list[str], columns: int) -> str:
    """Run a command whose standard streams are a terminal of this width. Return all that it prints."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    terminal_size = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    no_engine = {"DOCKER_HOST": "unix:///nowhere"}  # with one, a plan shows which images this host has
    environment = {**os.environ, **terminal_size, **no_engine, "PYTHONPATH": str(ROOT)}
    if command[0] == "slipway":
        command = [sys.executable, "-m", "commands.entry_point", *command[1:]]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        output = b"".join(iter(lambda: _read(main), b""))
    if process.returncode:
        sys.exit(f"{shlex.join(command)}: exit code {process.returncode}\n{output.decode()}")
    return output.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux reports EIO when the last program has closed the terminal
        return b""


def picture(title: str, lines: list[Text], columns: int, theme: TerminalTheme) -> str:
    """Return the lines as an SVG picture; longer lines end in an ellipsis."""
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    svg = console.export_svg(title=title, theme=theme, code_format=TEMPLATE, unique_id="terminal")
    visible_border = svg.replace("rgba(255,255,255,0.35)", "rgba(128,128,128,0.35)")
    return "\n".join(line.strip() for line in visible_border.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Record the command and write NAME-light.svg and NAME-dark.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", type=Path, help="path of the pictures without -light.svg and -dark.svg")
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--lines", type=int, default=40, help="keep the first lines only")
    parser.add_argument("--title", default="slipway")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    output = output_of(given.command, given.columns).replace("\r\n", "\n").rstrip("\n").split("\n")
    kept = output[: given.lines] + (["..."] if len(output) > given.lines else [])
    prompt = Text.assemble(("$ ", "bold green"), (shlex.join(given.command), "bold"))
    for name, theme in THEMES.items():
        path = given.name.with_name(f"{given.name.name}-{name}.svg")
        path.write_text(picture(given.title, [prompt, *map(Text.from_ansi, kept)], given.columns, theme))


if __name__ == "__main__":
    main()
