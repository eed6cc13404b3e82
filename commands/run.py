"""`invoke run` and what one does with what runs: ps, logs, chat, stop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from commands import plan as planning
from commands.terminal import bar, emit, say
from commands.verb import one_of, setting, verb
from errors import Failed, Refused

if TYPE_CHECKING:
    from launch.plan import Plan
    from launch.ready import Progress, Ready

QUESTION = "What is a slipway?"


def with_plan_options(body: Callable[..., None]) -> Callable[..., None]:
    """Give `body(c, ..., **options)` every option of `invoke plan` beside its own."""
    own = inspect.signature(body)
    mine = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    theirs = [
        p for p in inspect.signature(planning.plan.body).parameters.values() if p.name not in own.parameters
    ]
    body.__signature__ = own.replace(parameters=[*mine, *theirs])  # type: ignore[attr-defined]
    return body


@verb(
    help={
        **planning.HELP,
        "replace": "stop what runs under that name first",
        "wait": "yes, or no to return at once",
        "dry-run": "print the command instead of running it",
        "format": "text or json",
    },
    iterable=["feature", "no_feature", "cure", "set_", "env"],
)
@with_plan_options
def run(
    c: Any,
    replace: bool = False,
    wait: str = "yes",
    dry_run: bool = False,
    format: str = "text",
    **options: Any,
) -> None:
    """Plan, start the container, wait until it serves, and prove it with one generation.

    invoke run --gpus 8
    invoke run --platform cpu --model slipway/MiniMax-M2-tiny
    """
    one_of("format", format, ("text", "json"))
    one_of("--wait value", wait, ("yes", "no"))
    if dry_run or c.config.run.dry:
        from launch.render import render

        print(render(planning.planned(c, **options), "docker"))
        return
    _serve(c, options, replace, wait == "yes", format)


def _serve(c: Any, options: dict[str, Any], replace: bool, wait: bool, format: str) -> None:
    from launch import engine

    client = engine.connect()
    wanted = planning.planned(c, **options)
    _ensure_image(client, wanted)
    _check_weights(wanted)
    container, fresh = engine.start(client, wanted, replace=replace)
    url = engine.url_of(wanted)
    say(f"{container.name}: {'started' if fresh else 'already running'} ({wanted.digest})")
    ready = _watched(container, wanted, url) if wait else None
    _report(container, wanted, url, ready, format)


def _ensure_image(client: Any, wanted: Plan) -> None:
    """Build our own image, pull anybody else's, where it is not here."""
    from images import build as images
    from launch import image

    if image.is_here(client, wanted.image):
        return
    if wanted.image == images.reference(wanted.platform):
        from commands.build import run_build

        run_build(wanted.platform, images.Wish())
        return
    with bar(f"pull {wanted.image}") as progress:
        image.pull(client, wanted.image, progress.update)


def _check_weights(wanted: Plan) -> None:
    """An incomplete snapshot is refused here and not after minutes of loading."""
    from launch import weights

    weights.check(wanted.model)


def _watched(container: Any, wanted: Plan, url: str) -> Ready:
    from launch import ready
    from launch.chat import healthy

    with bar(f"start {container.name}") as progress:

        def show(seen: Progress) -> None:
            note = seen.phase.phase + (f" {seen.percent}%" if seen.percent is not None else "")
            progress.update(seen.index, len(seen.phases), note)

        try:
            return ready.wait(container, lambda: healthy(url), lambda: prove(url, wanted.model), show)
        except KeyboardInterrupt:
            say(
                f"\nleft {container.name} starting; come back with `invoke logs -f`, end it with `invoke stop`"
            )
            raise


def prove(url: str, model: str) -> str:
    """One short generation; whatever it says, it must say something."""
    from launch.chat import ask

    text = "".join(delta.text for delta in ask(url, model, QUESTION, max_tokens=8))
    if not text:
        raise Failed("the server answered without a single token", fix="invoke logs")
    return text


def _report(container: Any, wanted: Plan, url: str, ready: Ready | None, format: str) -> None:
    facts = {"name": container.name, "model": wanted.model, "url": f"{url}/v1", "plan": wanted.digest}
    if ready:
        facts |= {"kv_tokens": ready.kv_tokens, "seconds": ready.seconds}
    if format == "json":
        emit(facts)
        return
    print(f"{wanted.model} serves at {url}/v1")
    if ready:
        say("  " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in ready.seconds.items()))
        say(f"  KV cache: {ready.kv_tokens} tokens (the plan estimated {wanted.fit.kv_tokens})")
    say('  next: invoke chat "Hello"    invoke bench    invoke logs    invoke stop')


@verb(help={"format": "text or json"})
def ps(c: Any, format: str = "text") -> None:
    """What of ours runs: model, image, GPUs, address, since when."""
    from launch import engine

    one_of("format", format, ("text", "json"))
    found = engine.servers(engine.connect())
    if format == "json":
        emit([asdict(server) for server in found])
        return
    for server in found:
        print(
            f"{server.name:<28} {server.status:<10} {server.url:<24} {server.model}  since {server.started[:19]}"
        )
    if not found:
        say("nothing of ours runs; `invoke run` starts a server")


@verb(
    help={
        "name": "which server, if there are several",
        "follow": "go on as it speaks",
        "tail": "last lines only",
    }
)
def logs(c: Any, name: str = "", follow: bool = False, tail: int = 0) -> None:
    """What a server said."""
    from launch import engine
    from launch.lines import split_lines

    container = engine.find(engine.connect(), name)
    words = container.logs(stream=True, follow=follow, tail=tail or "all")
    for line in split_lines(words):
        print(line)


@verb(help={"name": "which server, if there are several", "max-tokens": "length of the answer"})
def chat(c: Any, question: str, name: str = "", max_tokens: int = 256) -> None:
    """Ask a running server; the answer streams to stdout, the model's reasoning to stderr."""
    import sys

    from launch import engine
    from launch.chat import ask

    server = serving(engine.connect(), name)
    for delta in ask(
        server.labels["slipway.url"], server.labels["slipway.model"], question, max_tokens=max_tokens
    ):
        print(delta.text, end="", flush=True, file=sys.stderr if delta.kind == "reasoning" else sys.stdout)
    print()


def serving(client: Any, name: str) -> Any:
    """Our container of that name, if it runs."""
    from launch import engine

    server = engine.find(client, name)
    if server.status != "running":
        raise Refused(
            f"{server.name} is {server.status}", fix="invoke logs tells why; invoke run starts it again"
        )
    return server


@verb(
    help={"name": "which server, if there are several", "timeout": "seconds to finish in before it is killed"}
)
def stop(c: Any, name: str = "", timeout: int = 30) -> None:
    """End a server and take its container away; its last words stay in results/logs/."""
    from launch import engine

    container = engine.find(engine.connect(timeout=timeout + 60), setting(c, "name", name))
    with bar(f"stop {container.name}"):
        engine.stop(container, timeout)
