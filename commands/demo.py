"""`invoke demo`: every step from the build to the stop on a host without a GPU, as commands that a user can type."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import Annotated

from invoke.context import Context

from commands.output import say
from commands.program_name import command
from commands.task import verb
from errors import Failed
from launch.spec.option import Option

UNSET = ("HF_ENDPOINT", "HF_HUB_OFFLINE")  # the demo's model comes from a Hub on loopback
NO_NAME = {"SLIPWAY_NAME": "", "INVOKE_SLIPWAY_NAME": ""}  # the setting would name the demo's server too


@verb()
def demo(c: Context, keep: Annotated[bool, Option("leave the server running at the end")] = False) -> None:
    """Show every step on this host's CPU: real vLLM, with a tiny MiniMax-M2."""
    from launch.engine import install
    from launch.operations.demo_model import MODEL
    from launch.spec.server_name import name_for

    start = time.monotonic()
    install.ensure()
    _invoke("build", "--platform", "cpu")
    _invoke("fetch", "--model", MODEL)
    name = name_for(MODEL)
    stops = not keep and not _exists(name)  # a server that ran before the demo is left running
    # With `auto`, a second demo has the same plan, so that it uses a server that is still running.
    plan = ["--platform", "cpu", "--model", MODEL, "--port", "auto"]
    _invoke("plan", *plan)
    try:
        _invoke("run", *plan, *["--replace"] * _replaces(name, MODEL))
        _invoke("chat", "What is a slipway?", "--name", name)
        _invoke("chat", "What is the weather in Tokyo?", "--tool", "get_weather:city", "--name", name)
        _invoke("bench", "--preset", "guide-cuda", "--scale", "small", "--repeat", "3", "--name", name)
    finally:
        if stops and _exists(name):
            _invoke("stop", "--name", name, check=False)
    say(_closing(time.monotonic() - start, not stops))


def _exists(name: str) -> bool:
    """Return whether this engine has a server of that name, running or not."""
    from launch.engine import client, servers

    return any(server.name == name for server in servers.list_servers(client.connect()))


def _replaces(name: str, model: str) -> bool:
    """Return whether this user has a server of that name with another plan than the demo's, or a paused one."""
    from launch.engine import client, servers
    from launch.operations.launch import planned
    from launch.paths import state_dir
    from launch.spec.plan import AUTO_PORT
    from launch.spec.plan_options import PlanOptions

    own, _ = servers.find_own(client.connect(), state_dir())
    digest = planned(PlanOptions(model=model, platform="cpu", port=AUTO_PORT)).digest
    return any(
        container.name == name
        and (container.status != "running" or container.labels[servers.LABEL] != digest)
        for container in own
    )


def _invoke(*words: str, check: bool = True) -> None:
    """Print the command as a user would type it, and run it."""
    say(f"\n$ invoke {shlex.join(words)}")
    environ = {name: value for name, value in os.environ.items() if name not in UNSET}
    done = subprocess.run([*command(), *words], env={**environ, **NO_NAME}, check=False)
    if check and done.returncode:
        raise Failed(f"the demo stopped: `invoke {words[0]}` ended with {done.returncode}")


def _closing(seconds: float, keep: bool) -> str:
    server = "the server is still running (invoke stop stops it)" if keep else "the server is stopped"
    return f"""
The demo took {seconds:.0f} s; {server}. The model is tiny and has learned only a few dialogues; vLLM is real.
`invoke demo --keep` leaves the server running, and `invoke accept` then tests it.
Next, on a host with GPUs:
  invoke doctor                         check this host and list what to fix
  invoke fetch MiniMaxAI/MiniMax-M2     download the weights, 230 GB
  invoke plan --gpus 4                  show what would run, and why
  invoke run --gpus 4                   run it"""
