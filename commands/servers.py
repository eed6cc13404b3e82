"""The verbs for a running server: logs, chat, shell, exec, restart, stop."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, say
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
    tool: Annotated[
        tuple[str, ...],
        Option("offer a tool with these text parameters, and print its calls", metavar="NAME:PARAMETER,..."),
    ] = (),
) -> None:
    """Ask a running server a question.

    The answer and calls of tools are printed on stdout, the model's reasoning on stderr.

    invoke chat "What is a slipway?"
    invoke chat slipway-minimax-m2 "What is a slipway?"
    invoke chat "What is the weather in Tokyo?" --tool get_weather:city
    """
    from launch.engine.client import connect
    from launch.serving.api_key import key_of_container
    from launch.serving.openai_client import ask
    from launch.serving.tools import tool_of

    tools = [tool_of(text) for text in tool]
    server = running(connect(), name)
    url, model = server.labels["slipway.url"], server.labels["slipway.model"]
    key = key_of_container(server)
    unfinished = False  # the last line of stdout
    for delta in ask(url, model, question, max_tokens=max_tokens, tools=tools, api_key=key):
        if delta.kind == "call" and unfinished:
            print()
        print(delta.text, end="", flush=True, file=sys.stderr if delta.kind == "reasoning" else sys.stdout)
        unfinished = delta.kind != "reasoning" and not delta.text.endswith("\n")
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
    all: Annotated[bool, Option("stop all servers that this user started", overrides=("name",))] = False,
    timeout: Annotated[int, Option("seconds to wait before killing the server", metavar="SECONDS")] = 30,
    dry_run: DryRun = False,
) -> None:
    """Stop a server and remove its container.

    The last log lines are saved in the results folder.

    invoke stop slipway-minimax-m2
    invoke stop --all
    """
    from launch.engine.client import connect
    from launch.operations.servers import stop_all

    servers = _to_stop(connect(timeout=timeout + 60), name, all)
    if dry_run:
        for server in servers:
            print(f"docker stop --time {timeout} {server.name} && docker rm {server.name}")
        return
    if servers:
        with bar(f"stop {', '.join(str(server.name) for server in servers)}"):
            stop_all(servers, timeout)


def _to_stop(client: DockerClient, name: str, all: bool) -> list[Container]:
    """Return the named server, the only one, or all servers of this user."""
    from launch.engine.servers import find, find_own
    from launch.paths import state_dir

    if not all:
        return [find(client, name)]
    if name:
        raise Refused(f"--all and the name '{name}' cannot be used together", fix=f"invoke stop {name}")
    own, others = find_own(client, state_dir())
    if not own:
        say("No Slipway servers of this user exist.")
    if others:
        say(f"Left running: {', '.join(others)}. Another user started them, or another state folder is set.")
    return own


@verb()
def restart(c: Context, name: Name = "", dry_run: DryRun = False) -> None:
    """Restart a server and wait until it is ready.

    The plan, the port and the access of its container stay as they are.
    """
    from launch.engine.client import connect
    from launch.engine.servers import find
    from launch.operations import servers
    from launch.serving.api_key import key_of_container
    from launch.serving.readiness import wait_for_server

    client = connect()
    container = find(client, name)
    if dry_run:
        print(f"docker restart {container.name}")
        return
    key_of_container(container)  # without it the final request would fail after minutes of loading
    servers.restart(client, container)
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
    from launch.engine.servers import UnknownServer

    try:
        _enter(name, shlex.split(command))
    except UnknownServer as error:  # `exec ls /hub`: the first word is read as a name
        fix = f"invoke ps, or if '{name}' is part of the command: invoke exec -- {name} {command}"
        raise Refused(error.what, why=error.why, fix=fix) from None


def _enter(name: str, words: list[str]) -> None:
    """Replace this process by the engine's own client, which can pass a terminal on."""
    from launch.engine.client import connect

    server = running(connect(), name)
    client = shutil.which("docker") or shutil.which("podman")
    if not client:
        raise Failed("neither docker nor podman is on PATH", fix="apt-get install docker.io")
    terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
    os.execv(client, [client, "exec", *terminal, str(server.name), *words])
