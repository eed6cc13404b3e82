"""Run the items of an acceptance test one after the other, each within its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from errors import Failed, choice
from launch.acceptance.answer import MalformedAnswer
from launch.acceptance.client import HttpError, OutOfTime, Session, Target
from launch.acceptance.items import (
    api_items,
    context_items,
    reasoning_items,
    sampling_items,
    server_items,
    text_items,
    tool_items,
)
from launch.acceptance.prompts import causes
from launch.acceptance.types import Finding, ItemResult, failed, skipped
from launch.deadline import DeadlineExceeded, call_with_deadline

Test = Callable[[Session], Finding]
ROUNDING = 0.2  # seconds
PROBE = 20.0  # seconds for one token, after an item that ran out of time


@dataclass(frozen=True)
class Item:
    """One item. `quick` replaces `test` in a quick run; without it the item is left out."""

    name: str
    test: Test
    quick: Test | None = None
    tools: bool = False


ITEMS = (
    Item("facts", text_items.facts, text_items.facts),
    Item("text", text_items.readable, text_items.readable),
    Item("language", text_items.languages, text_items.languages),
    Item("greedy", text_items.greedy),
    Item("batch", text_items.batch, text_items.batch),
    Item("replicas", text_items.replicas, text_items.replicas),
    Item("reasoning", reasoning_items.reasoning, reasoning_items.reasoning),
    Item("messages", reasoning_items.messages, reasoning_items.messages),
    Item("stream", reasoning_items.stream, reasoning_items.stream),
    Item("responses", reasoning_items.responses, reasoning_items.responses),
    Item("tool-trigger", tool_items.trigger, tool_items.trigger, tools=True),
    Item("tool-schema", tool_items.schema, tool_items.schema, tools=True),
    Item("tool-stream", tool_items.streamed, tool_items.streamed, tools=True),
    Item("tool-parallel", tool_items.parallel, tools=True),
    Item("tool-result", tool_items.result, tool_items.result, tools=True),
    Item("thinking", tool_items.thinking, tool_items.thinking, tools=True),
    Item("context", context_items.context, context_items.quick_context),
    Item("stop", api_items.stop, api_items.stop),
    Item("logprobs", api_items.logprobs, api_items.logprobs),
    Item("tokens", api_items.tokens, api_items.tokens),
    Item("json-schema", api_items.json_schema, api_items.json_schema),
    Item("sampling", sampling_items.sampling, sampling_items.sampling),
    Item("limits", server_items.limits, server_items.limits),
    Item("cancel", server_items.cancel),
    Item("api-key", server_items.api_key, server_items.api_key),
)
NAMES = tuple(item.name for item in ITEMS)


def chosen(only: Sequence[str], quick: bool = False) -> list[Item]:
    """Return the items of a run. Raises Refused for an unknown name."""
    for name in only:
        if name not in NAMES:
            raise choice("item", name, NAMES)
    return [item for item in ITEMS if (item.name in only if only else item.quick or not quick)]


class Runner:
    """Runs items against one server. `seconds` limits each item."""

    def __init__(self, target: Target, seconds: float, quick: bool = False) -> None:
        self.target, self.seconds, self.quick = target, seconds, quick
        self._gone = ""  # why the remaining items are skipped
        self._no_tools: str | None = None  # None: not asked yet

    def results(self, items: Sequence[Item]) -> Iterator[ItemResult]:
        """Yield the result of each item as soon as there is one."""
        for item in items:
            start = time.monotonic()
            finding = self._finding(item)
            yield result_of(item.name, finding, time.monotonic() - start)

    def _finding(self, item: Item) -> Finding:
        if self._gone:
            return skipped(self._gone)
        finding = self._bounded(lambda session: self._test(item, session), self.seconds)
        if finding.cause in ("hangs", "no-response"):
            probe = self._bounded(_one_token, min(PROBE, self.seconds))
            self._gone = f"the server stopped answering during '{item.name}'" if probe.cause else ""
        return finding

    def _test(self, item: Item, session: Session) -> Finding:
        if item.tools:
            if self._no_tools is None:
                self._no_tools = tool_items.refusal(session)
            if self._no_tools:
                return skipped(f"the server accepts no tools: {self._no_tools}")
        test = (item.quick if self.quick else None) or item.test
        return test(session)

    def _bounded(self, test: Test, seconds: float) -> Finding:
        """Return the finding of a test, also if it runs out of time or the server fails."""
        session = Session(self.target, time.monotonic() + seconds)
        try:
            return call_with_deadline(seconds, lambda: test(session))
        except (DeadlineExceeded, OutOfTime):
            finding = _hangs(seconds)
        except Failed as error:
            # A request may take the rest of the item's time, so that its own time limit ends it first.
            late = time.monotonic() > session.deadline - ROUNDING
            why = f": {error.why}" if error.why else ""
            finding = _hangs(seconds) if late else failed("no-response", f"{error.what}{why}")
        except HttpError as error:
            finding = failed("rejected", str(error))
        except MalformedAnswer as error:
            finding = failed("malformed", str(error))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            finding = failed("malformed", f"an answer lacks what the OpenAI API promises: {error!r}"[:200])
        session.deadline = 0  # a thread that is left behind sends nothing more
        return finding


def _hangs(seconds: float) -> Finding:
    return failed("hangs", f"no result after {seconds:.0f} s")


def _one_token(session: Session) -> Finding:
    session.chat("Hello", max_tokens=1)
    return Finding("pass", "")


def result_of(name: str, finding: Finding, seconds: float) -> ItemResult:
    """Return a finding with the texts of its cause."""
    known = causes()[finding.cause] if finding.cause else None
    return ItemResult(
        name,
        finding.outcome,
        finding.evidence,
        known.cause if known else "",
        known.fix if known else "",
        finding.metrics,
        round(seconds, 2),
    )
