"""`invoke demo`: every step from the build to the stop on a host without a GPU, as commands that a user can type."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from commands.output import bar, say
from commands.program_name import command
from commands.task import verb
from errors import Failed
from launch.spec.option import Option

MODEL = "slipway/MiniMax-M2-tiny"


@verb()
def demo(c: Context, keep: Annotated[bool, Option("leave the server running at the end")] = False) -> None:
    """Show every step on this host's CPU: real vLLM, with a tiny MiniMax-M2."""
    from launch.engine import install
    from launch.engine.containers import name_for
    from launch.hub_server import serve_folder

    start = time.monotonic()
    install.ensure()
    _invoke("build", "--platform", "cpu")
    hub = _folder() / "hub"
    with bar("make a tiny MiniMax-M2 checkpoint (real architecture, random weights)"):
        _write(hub)
    with serve_folder(hub) as server:
        _invoke("fetch", "--model", MODEL, HF_ENDPOINT=server.url)
    name = name_for(MODEL)
    stops = not keep and not _exists(name)  # a server that ran before the demo is left running
    plan = ["--platform", "cpu", "--model", MODEL, "--port", str(_free_port())]
    _invoke("plan", *plan)
    try:
        _invoke("run", *plan)
        _invoke("chat", "What is a slipway?", "--max-tokens", "48", "--name", name)
        _invoke("bench", "--preset", "guide-cuda", "--scale", "0.02", "--name", name)
    finally:
        if stops and _exists(name):
            _invoke("stop", "--name", name, check=False)
    say(_closing(time.monotonic() - start, not stops))


def _folder() -> Path:
    """Return the folder of the tiny model and of the Hugging Face cache that it is fetched into."""
    from launch.paths import cache_dir, writable

    return writable(cache_dir() / "demo")


def _exists(name: str) -> bool:
    """Return whether this engine has a server of that name, running or not."""
    from launch.engine import client, servers

    return any(server.name == name for server in servers.list_servers(client.connect()))


def _free_port() -> int:
    """Return 8000 if it is free, else another free port."""
    for port in (8000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
            except OSError:
                continue
    raise Failed("no port is free on 127.0.0.1")


def _write(hub: Path) -> None:
    from launch.demo.tiny_checkpoint import write_checkpoint

    folder = hub / MODEL
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(folder)


def _invoke(*words: str, check: bool = True, **env: str) -> None:
    """Print the command as a user would type it, and run it."""
    say(f"\n$ invoke {shlex.join(words)}")
    cache = {"HF_HUB_CACHE": str(_folder() / "cache")}
    no_name = {"SLIPWAY_NAME": "", "INVOKE_SLIPWAY_NAME": ""}  # the setting would name the demo's server too
    argv = [*command(), *words]
    done = subprocess.run(argv, env={**os.environ, **cache, **no_name, **env}, check=False)
    if check and done.returncode:
        raise Failed(f"the demo stopped: `invoke {words[0]}` ended with {done.returncode}")


def _closing(seconds: float, keep: bool) -> str:
    server = "the server is still running (invoke stop stops it)" if keep else "the server is stopped"
    return f"""
The demo took {seconds:.0f} s; {server}. The answer was noise because the weights are random; all else was real.
Next, on a host with GPUs:
  invoke doctor                         check this host and list what to fix
  invoke fetch MiniMaxAI/MiniMax-M2     download the weights, 230 GB
  invoke plan --gpus 4                  show what would run, and why
  invoke run --gpus 4                   run it"""
