"""The `slipway` command: the verbs of tasks.py, usable in every folder."""

from __future__ import annotations

import sys

from commands import interrupt


def main() -> None:
    """Run `slipway` with the words of the command line."""
    sys.argv[0] = "slipway"  # also for `python -m commands.entry_point`: messages name this program
    with interrupt.quiet():
        from commands.slipway_program import SlipwayProgram
        from tasks import ns
    SlipwayProgram(ns).run()


if __name__ == "__main__":
    main()
