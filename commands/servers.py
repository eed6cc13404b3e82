"""What one does with a server that runs: ps, logs, chat, shell, exec, restart, stop."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from commands.output import bar, emit, say
from commands.task import one_of, setting, verb, whole_number
from errors import Failed, Refused

if TYPE_CHECKING:
    from launch.engine.client import Server
    from launch.serving.metrics import Load


@verb(help={"format": "text or json"})
def ps(c: Any, format: str = "text") -> None:
    """What of ours runs: model, address, GPUs, since when, whether it is healthy, tokens a second."""
    from launch.engine import client as engine_client
    from launch.serving import metrics

    one_of("format", format, ("text", "json"))
    found = engine_client.servers(engine_client.connect())
    loads = metrics.measure_load({server.name: server.url for server in found if server.status == "running"})
    if format == "json":
        emit([{**asdict(server), "load": _as_dict(loads.get(server.name))} for server in found])
        return
    for server in found:
        print(_row(server, loads.get(server.name)))
    if not found:
        say("nothing of ours runs; `invoke run` starts a server")


def _as_dict(load: Load | None) -> dict[str, Any] | None:
    return asdict(load) if load else None


def _row(server: Server, load: Load | None) -> str:
    does = f"{load.tokens_per_s or 0:.0f} tok/s, {load.running} running" if load else "does not answer"
    state = server.status if server.status != "running" else f"{server.health or 'running'}, {does}"
    gpus = f"  GPUs {server.gpus}" if server.gpus else ""
    since = "" if server.started.startswith("0001") else f"  since {server.started[:19]}"  # never started
    return f"{server.name}  {state}  {server.url}  {server.model}{since}{gpus}"


@verb(
    help={
        "name": "which server, if there are several",
        "follow": "go on as it speaks",
        "f": "the same as --follow",
        "tail": "last lines only",
        "since": "seconds to look back",
    }
)
def logs(
    c: Any, name: str = "", follow: bool = False, f: bool = False, tail: str = "", since: str = ""
) -> None:
    """What a server said."""
    import time

    from launch.engine import client as engine_client
    from launch.engine.log_stream import split_lines

    container = engine_client.find(engine_client.connect(), setting(c, "name", name))
    back = whole_number("--since", since or 0)
    after = {"since": int(time.time()) - back} if back else {}
    last = whole_number("--tail", tail or 0) or "all"
    for line in split_lines(container.logs(stream=True, follow=follow or f, tail=last, **after)):
        print(line)


@verb(help={"name": "which server, if there are several", "max-tokens": "length of the answer"})
def chat(c: Any, question: str, name: str = "", max_tokens: str = "256") -> None:
    """Ask a running server; the answer streams to stdout, the model's reasoning to stderr."""
    import sys

    from launch.engine import client as engine_client
    from launch.serving.api_key import key_of_container
    from launch.serving.openai_client import ask

    server = serving(engine_client.connect(), setting(c, "name", name))
    url, model = server.labels["slipway.url"], server.labels["slipway.model"]
    for delta in ask(
        url,
        model,
        question,
        max_tokens=whole_number("--max-tokens", max_tokens),
        api_key=key_of_container(server),
    ):
        print(delta.text, end="", flush=True, file=sys.stderr if delta.kind == "reasoning" else sys.stdout)
    print()


def serving(client: Any, name: str) -> Any:
    """Our container of that name, if it runs."""
    from launch.engine import client as engine_client

    server = engine_client.find(client, name)
    if server.status == "paused":
        raise Refused(f"{server.name} is paused", fix=f"docker unpause {server.name}")
    if server.status != "running":
        raise Refused(
            f"{server.name} is {server.status}", fix="invoke logs tells why; invoke run starts it again"
        )
    return server


@verb(
    help={"name": "which server, if there are several", "timeout": "seconds to finish in before it is killed"}
)
def stop(c: Any, name: str = "", timeout: str = "30", dry_run: bool = False) -> None:
    """End a server and take its container away; its last words stay in results/logs/."""
    from launch.engine import client as engine_client
    from launch.engine import containers

    seconds = whole_number("--timeout", timeout)
    container = engine_client.find(engine_client.connect(timeout=seconds + 60), setting(c, "name", name))
    if dry_run or c.config.run.dry:
        print(f"docker stop --time {seconds} {container.name} && docker rm {container.name}")
        return
    with bar(f"stop {container.name}"):
        containers.stop(container, seconds)


@verb(help={"name": "which server, if there are several", "dry-run": "print what would be done"})
def restart(c: Any, name: str = "", dry_run: bool = False) -> None:
    """Start a server's container again as it was; its plan and its access stay."""
    from launch.engine import client as engine_client
    from launch.serving.api_key import key_of_container
    from launch.serving.readiness import wait_for_server

    container = engine_client.find(engine_client.connect(), setting(c, "name", name))
    if dry_run or c.config.run.dry:
        print(f"docker restart {container.name}")
        return
    key_of_container(container)  # who may not ask it may not prove it either
    container.restart(timeout=30)
    with bar(f"restart {container.name}") as progress:
        wait_for_server(container, lambda seen: progress.update(seen.index, None, seen.note))
    print(f"{container.labels['slipway.model']} serves at {container.labels['slipway.url']}/v1")


@verb(help={"name": "which server, if there are several"})
def shell(c: Any, name: str = "") -> None:
    """A shell inside a running server: the same image, devices and weights."""
    _enter(c, name, ["/bin/bash"])


@verb(help={"name": "which server, if there are several"})
def exec(c: Any, command: str, name: str = "") -> None:
    """Run one command inside a running server: invoke exec "vllm --version"."""
    import shlex

    _enter(c, name, shlex.split(command))


def _enter(c: Any, name: str, words: list[str]) -> None:
    """Hand this terminal over to the engine's own client, which knows terminals."""
    import sys

    from launch.engine import client as engine_client

    server = serving(engine_client.connect(), setting(c, "name", name))
    client = shutil.which("docker") or shutil.which("podman")
    if not client:
        raise Failed("neither docker nor podman is on PATH", fix="apt-get install docker.io")
    terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
    os.execv(client, [client, "exec", *terminal, server.name, *words])
