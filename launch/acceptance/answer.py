"""The answer of a chat completion, from its JSON or its stream, with the thoughts apart from the content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OPEN, CLOSE = "<think>", "</think>"
CALL_MARKUP = ("<minimax:tool_call>", "</minimax:tool_call>", "<invoke ", "<tool_call>", "<function=")


class MalformedAnswer(Exception):
    """The response does not have the form of the OpenAI API."""


@dataclass(frozen=True)
class ToolCall:
    """A call as the server returned it. `arguments` is a JSON text."""

    name: str
    arguments: str

    def values(self) -> Any:
        """Return the parsed arguments. Raises ValueError."""
        return json.loads(self.arguments)


@dataclass(frozen=True)
class Answer:
    """One answer. `content` is as the server returned it, and `text` is `content` without leading thoughts."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: tuple[Mapping[str, Any], ...] = ()
    done: bool = True  # a stream ended with [DONE]

    @property
    def thoughts_in_content(self) -> bool:
        """Whether the content starts with thoughts, as with minimax_m2_append_think.

        Before a call, vLLM 0.32 returns them without the tag that closes them.
        """
        return self.content.lstrip().startswith(OPEN) and (CLOSE in self.content or bool(self.calls))

    @property
    def text(self) -> str:
        """The content without leading thoughts."""
        if self.thoughts_in_content:
            return self.content.partition(CLOSE)[2].strip()
        return self.content.strip()

    @property
    def thoughts(self) -> str:
        """The reasoning, from its own field or from the content."""
        if self.thoughts_in_content:
            return self.content.partition(CLOSE)[0].partition(OPEN)[2].strip()
        return self.reasoning.strip()

    @property
    def only_reasoning(self) -> bool:
        """Whether there are thoughts, and neither text nor a call follows them."""
        unclosed = self.content.lstrip().startswith(OPEN) and CLOSE not in self.content
        return bool(self.thoughts or unclosed) and not self.calls and (unclosed or not self.text)

    @property
    def markup(self) -> tuple[str, ...]:
        """The tags in the text that a parser should have consumed."""
        return tuple(tag for tag in (OPEN, CLOSE, *CALL_MARKUP) if tag in self.text)

    @property
    def whole(self) -> str:
        """Everything that the model wrote, for comparisons."""
        calls = "".join(f"{call.name}{call.arguments}" for call in self.calls)
        return f"{self.thoughts}\n{self.text}\n{calls}".strip()


def parse(data: Any) -> Answer:
    """Return the answer in the JSON of a chat completion. Raises MalformedAnswer."""
    try:
        choice, usage = data["choices"][0], data.get("usage") or {}
        message = choice["message"]
        return Answer(
            reasoning=_reasoning(message),
            content=message.get("content") or "",
            calls=tuple(_call(call["function"]) for call in message.get("tool_calls") or ()),
            finish=choice.get("finish_reason") or "",
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            logprobs=tuple((choice.get("logprobs") or {}).get("content") or ()),
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise MalformedAnswer(f"not a chat completion: {json.dumps(data)[:160]}") from error


@dataclass
class _Stream:
    """The parts of a streamed answer so far."""

    reasoning: str = ""
    content: str = ""
    finish: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)  # index -> name and arguments
    usage: dict[str, int] = field(default_factory=dict)

    def add(self, event: Any) -> None:
        if "error" in event:
            raise MalformedAnswer(f"the stream reports an error: {str(event['error'])[:160]}")
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            self.reasoning += _reasoning(delta)
            self.content += delta.get("content") or ""
            self.finish = choice.get("finish_reason") or self.finish
            for call in delta.get("tool_calls") or ():
                known = self.calls.setdefault(int(call.get("index") or 0), ["", ""])
                function = call.get("function") or {}
                known[0] += function.get("name") or ""
                known[1] += function.get("arguments") or ""


def parse_stream(lines: Iterable[bytes]) -> Answer:
    """Return the answer in a stream of server-sent events. Raises MalformedAnswer."""
    stream, done = _Stream(), False
    try:
        for line in lines:
            name, _, data = line.decode(errors="replace").strip().partition(":")
            if name != "data":
                continue
            if data.strip() == "[DONE]":
                done = True
                break
            stream.add(json.loads(data))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise MalformedAnswer(f"not a stream of a chat completion: {error}") from error
    return Answer(
        reasoning=stream.reasoning,
        content=stream.content,
        calls=tuple(ToolCall(name, arguments) for _, (name, arguments) in sorted(stream.calls.items())),
        finish=stream.finish,
        prompt_tokens=int(stream.usage.get("prompt_tokens") or 0),
        completion_tokens=int(stream.usage.get("completion_tokens") or 0),
        done=done,
    )


def _reasoning(message: Any) -> str:
    """Return the thoughts of a message. Upstream renamed `reasoning_content` to `reasoning`; both are in use."""
    return message.get("reasoning") or message.get("reasoning_content") or ""


def _call(function: Any) -> ToolCall:
    return ToolCall(str(function["name"]), function.get("arguments") or "")
