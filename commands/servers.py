"""The verbs for a running server: logs, chat, shell, exec, restart, stop."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar
from commands.shared_options import DryRun, Name
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


@verb()
def logs(
    c: Context,
    name: Name = "",
    follow: Annotated[bool, Option("follow log output", short="f", invoke=True)] = False,
    tail: Annotated[int, Option("show only this many of the last lines")] = 0,
    since: Annotated[int, Option("show only the lines of the last seconds", metavar="SECONDS")] = 0,
) -> None:
    """Show a server's logs."""
    from launch.engine.client import connect
    from launch.engine.log_stream import split_lines
    from launch.engine.servers import find

    after = int(time.time()) - since if since else None
    stream = find(connect(), name).logs(stream=True, follow=follow, tail=tail or "all", since=after)
    for line in split_lines(stream):
        print(line)


@verb()
def chat(
    c: Context,
    name: Name = "",
    question: Annotated[str, Option("question to ask", metavar="TEXT", positional=True, required=True)] = "",
    max_tokens: Annotated[int, Option("maximum length of the answer in tokens", minimum=1)] = 256,
) -> None:
    """Ask a running server a question.

    The answer is printed on stdout and the model's reasoning on stderr.

    invoke chat "What is a slipway?"
    invoke chat slipway-minimax-m2 "What is a slipway?"
    """
    from launch.engine.client import connect
    from launch.serving.api_key import key_of_container
    from launch.serving.openai_client import ask

    server = running(connect(), name)
    url, model = server.labels["slipway.url"], server.labels["slipway.model"]
    for delta in ask(url, model, question, max_tokens=max_tokens, api_key=key_of_container(server)):
        print(delta.text, end="", flush=True, file=sys.stderr if delta.kind == "reasoning" else sys.stdout)
    print()


def running(client: DockerClient, name: str) -> Container:
    """Return the container of a server. Raises Refused if it is not running."""
    from launch.engine.servers import find

    server: Container = find(client, name)
    if server.status == "paused":
        raise Refused(f"'{server.name}' is paused", fix=f"docker unpause {server.name}")
    if server.status != "running":
        fix = f"invoke diagnose {server.name}"
        raise Refused(f"'{server.name}' is not running", why=f"its state is '{server.status}'", fix=fix)
    return server


@verb()
def stop(
    c: Context,
    name: Name = "",
    timeout: Annotated[int, Option("seconds to wait before killing the server", metavar="SECONDS")] = 30,
    dry_run: DryRun = False,
) -> None:
    """Stop a server and remove its container.

    The last log lines are saved in the results folder.
    """
    from launch.engine import containers
    from launch.engine.client import connect
    from launch.engine.servers import find

    container = find(connect(timeout=timeout + 60), name)
    if dry_run:
        print(f"docker stop --time {timeout} {container.name} && docker rm {container.name}")
        return
    with bar(f"stop {container.name}"):
        containers.stop(container, timeout)


@verb()
def restart(c: Context, name: Name = "", dry_run: DryRun = False) -> None:
    """Restart a server and wait until it is ready.

    The plan and the access of its container stay as they are.
    """
    from launch.engine.client import connect
    from launch.engine.servers import find
    from launch.serving.api_key import key_of_container
    from launch.serving.readiness import wait_for_server

    container = find(connect(), name)
    if dry_run:
        print(f"docker restart {container.name}")
        return
    key_of_container(container)  # without it the final request would fail after minutes of loading
    container.restart(timeout=30)
    with bar(f"restart {container.name}") as progress:
        wait_for_server(container, lambda seen: progress.update(seen.index, len(seen.phases), seen.note))
    print(f"{container.labels['slipway.model']} serves at {container.labels['slipway.url']}/v1")


@verb()
def shell(c: Context, name: Name = "") -> None:
    """Open a shell inside a running server, with its image, devices and weights."""
    _enter(name, ["/bin/bash"])


@verb()
def exec(
    c: Context,
    name: Name = "",
    command: Annotated[str, Option("command to run", metavar="COMMAND", positional=True, required=True)] = "",
) -> None:
    """Run one command inside a running server.

    invoke exec "vllm --version"
    invoke exec slipway-minimax-m2 -- vllm --version
    """
    _enter(name, shlex.split(command))


def _enter(name: str, words: list[str]) -> None:
    """Replace this process by the engine's own client, which can pass a terminal on."""
    from launch.engine.client import connect

    server = running(connect(), name)
    client = shutil.which("docker") or shutil.which("podman")
    if not client:
        raise Failed("neither docker nor podman is on PATH", fix="apt-get install docker.io")
    terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
    os.execv(client, [client, "exec", *terminal, str(server.name), *words])
