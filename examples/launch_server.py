"""Plan, start, wait for, ask and stop a server from a Python program.

    python examples/launch_server.py MiniMaxAI/MiniMax-M2
    python examples/launch_server.py slipway/MiniMax-M2-tiny --platform cpu    # the model of `slipway demo`

It needs an environment in which Slipway is installed, and a container engine.
"""

from __future__ import annotations

import argparse
import sys

from errors import SlipwayError
from launch.operations.events import Events
from launch.operations.launch import launch
from launch.operations.launch_options import LaunchOptions
from launch.operations.plan_inputs import plan_of
from launch.serving.phases import StartupProgress
from launch.spec.plan_options import PlanOptions


class PrintedEvents(Events):
    """Print what happens; every other callback of a launch stays silent."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr)

    def phase(self, progress: StartupProgress) -> None:
        """Print the phase that begins."""
        print(f"  {progress.phase.name} ...", file=sys.stderr)


def main() -> int:
    """Return 0 if the server answered, the exit code of the error otherwise."""
    parser = argparse.ArgumentParser(description="Launch a model, ask it one question, stop it.")
    parser.add_argument("model")
    parser.add_argument("--platform", default="", help="cuda, rocm or cpu (default: that of the GPUs here)")
    parser.add_argument("--name", default="", help="name of the server (default: made from the model)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--question", default="What is a slipway?")
    given = parser.parse_args()
    options = PlanOptions(model=given.model, name=given.name, platform=given.platform, port=given.port)
    try:
        plan = plan_of(options)
        print(f"{plan.strategy} on {plan.layout.gpus} GPU(s) or rank(s) of {plan.hardware}", file=sys.stderr)
        server = launch(options, LaunchOptions(fetch=True, fixes="auto"), PrintedEvents())
        try:
            print(f"{server.name} serves at {server.url}", file=sys.stderr)
            for delta in server.ask(given.question, max_tokens=64):
                print(delta.text, end="", flush=True)
            print()
        finally:
            if server.started:  # a server that ran before is left running
                server.stop()
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
