"""How a start ends: the lines that a person reads, or the last event for a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from commands.output import say
from errors import Failed, SlipwayError

if TYPE_CHECKING:
    from launch.serving.readiness import Ready
    from launch.spec.plan import Plan


def report(container: Any, wanted: Plan, ready: Ready | None, as_json: bool) -> None:
    """What serves and where: an event for a program, else a line of data and what a person wants to know."""
    url = container.labels["slipway.url"]
    tools = _tools(container, wanted) if ready else ""
    if as_json:
        seen = {"kv_tokens": ready.kv_tokens, "seconds": ready.seconds, "tool_call": tools} if ready else {}
        facts = {"name": container.name, "model": wanted.model, "url": f"{url}/v1", "plan": wanted.digest}
        event("serves" if ready else "started", **facts, **seen)
        return
    print(f"{wanted.model} {'serves' if ready else 'will serve'} at {url}/v1")
    if ready:
        if ready.seconds:
            say("  " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in ready.seconds.items()))
        if ready.kv_tokens:
            say(f"  KV cache: {ready.kv_tokens} tokens (the plan estimated {wanted.fit.kv_tokens})")
        say(f"  tool call: {tools}")
    say('  next: invoke chat "Hello"    invoke bench    invoke logs    invoke stop')


def event(kind: str, **facts: Any) -> None:
    """One line for a program that follows the start."""
    print(json.dumps({"event": kind, **facts}), flush=True)


def _tools(container: Any, wanted: Plan) -> str:
    """Whether a tool call comes through the recipe's parser; a model may also choose to answer in words."""
    from launch.serving.api_key import key_of_container
    from launch.serving.openai_client import calls_tool

    if "--tool-call-parser" not in wanted.processes[0].argv:
        return "the recipe has no parser"
    try:
        called = calls_tool(
            container.labels["slipway.url"], wanted.model, api_key=key_of_container(container)
        )
    except Failed as error:
        return f"not taken: {error.why or error.what}"
    return "parsed" if called else "the model answered in words"


def failed(error: SlipwayError) -> None:
    """The last event of a start that did not succeed; the message itself goes to stderr as ever."""
    found = getattr(error, "diagnosis", None)
    cause = {"cause_id": found.cause_id} if found else {}
    event("failed", what=error.what, why=error.why, fix=error.fix, **cause)
