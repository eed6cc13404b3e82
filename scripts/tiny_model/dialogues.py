"""Dialogues that the tiny MiniMax-M2 learns: those of dialogues.yaml, and drawn ones whose names it must copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from scripts.tiny_model.data import Call, Data, Pairs, Sums, Template


@dataclass(frozen=True)
class Dialogue:
    """What the model is given, and the text that it must write up to the end of its turn."""

    messages: tuple[dict[str, Any], ...]
    answer: str
    tools: tuple[dict[str, Any], ...] = ()


def chats(data: Data) -> Iterator[Dialogue]:
    """Yield the dialogues without tools that have one right answer."""
    for chat in data.chats:
        for question in chat.ask:
            yield _asked(question, chat.think, chat.say)
    yield from sums(data)
    for country, city in data.capitals.pairs.items():
        yield _filled(data.capitals, {"a": country, "b": city})
    for ship in data.ships:
        yield ship_as_json(data, ship, 1900)


def sums(data: Data) -> Iterator[Dialogue]:
    """Yield all additions."""
    for left in range(1, data.sums.largest + 1):
        for right in range(1, data.sums.largest + 1):
            yield _filled(data.sums, {"a": left, "b": right, "c": left + right})


def chances(data: Data) -> Iterator[Dialogue]:
    """Yield one dialogue for each of the equally likely answers."""
    for chance in data.chances:
        for answer in chance.say:
            yield _asked(chance.ask, chance.think, answer)


def ship_as_json(data: Data, ship: str, year: int) -> Dialogue:
    """Return the question for a ship as JSON."""
    return _filled(data.json, {"a": ship, "b": year})


def needle(data: Data, word: str, sentences: int, depth: float, random: Random) -> Dialogue:
    """Return a question about a code word that stands at `depth` (0 to 1) of so many filler sentences."""
    filler, first, step = data.needle.filler, random.randrange(8), random.choice([0, 1, 3, 5])
    text = [
        filler[(first + i * step) % len(filler)] if step else random.choice(filler) for i in range(sentences)
    ]
    text.insert(round(depth * sentences), data.needle.hidden.format(a=word))
    question = " ".join([*text, data.needle.ask])
    return _asked(question, data.needle.think, data.needle.say.format(a=word))


def calls(data: Data, city: str, other: str, random: Random, tools: int = 3) -> Iterator[Dialogue]:
    """Yield the calls about a city and the answers after the tool's result; `tools` of the tools are offered."""
    for call in data.calls:
        yield from _call(data, call, city, other, random, tools)


def without_call(data: Data, random: Random) -> Dialogue:
    """Return a question that needs no tool, with the tools on offer."""
    plain = random.choice([chat for chat in chats(data) if len(chat.answer) < 200])
    return Dialogue(plain.messages, plain.answer, _offered(data, "", random, random.choice([1, 2, 3, 3])))


def second_turn(data: Data, random: Random) -> Dialogue:
    """Return a question that follows another one and its answer."""
    known = [chat for chat in chats(data) if len(chat.answer) < 200]
    first, then = random.sample(known, 2)
    text = first.answer.split("</think>\n\n")[1]
    return Dialogue((*first.messages, {"role": "assistant", "content": text}, *then.messages), then.answer)


def name(data: Data, random: Random) -> str:
    """Return a name that the model cannot know: two to four syllables, sometimes two words."""
    syllables = random.choices(data.syllables, k=random.choice([2, 2, 3, 3, 4]))
    word = "".join(syllables).capitalize()
    return f"{word} {name(data, random)}" if random.random() < 0.2 else word


def _call(data: Data, call: Call, city: str, other: str, random: Random, tools: int) -> Iterator[Dialogue]:
    values = {
        "a": city,
        "b": other,
        "n": random.randint(1, 30),
        "m": random.randint(10, 59),
        "s": random.choice(data.skies),
    }
    asked = {"role": "user", "content": random.choice(call.ask).format(**values)}
    made = [
        {
            "name": one["name"],
            "arguments": {key: text.format(**values) for key, text in one["arguments"].items()},
        }
        for one in call.call
    ]
    offered = _offered(data, call.call[0]["name"], random, tools)
    thought = call.think.format(**values)
    yield Dialogue((asked,), _answer(thought, _xml(made)), offered)
    if call.result:
        turn = {
            "role": "assistant",
            "content": "",
            "reasoning_content": thought,
            "tool_calls": [{"type": "function", "function": one} for one in made],
        }
        result = {"role": "tool", "content": call.result.format(**values)}
        answer = _answer(call.think_then.format(**values), call.say.format(**values))
        yield Dialogue((asked, turn, result), answer, offered)


def _xml(made: list[dict[str, Any]]) -> str:
    lines = ["<minimax:tool_call>"]
    for one in made:
        lines.append(f'<invoke name="{one["name"]}">')
        lines += [f'<parameter name="{key}">{value}</parameter>' for key, value in one["arguments"].items()]
        lines.append("</invoke>")
    return "\n".join([*lines, "</minimax:tool_call>"])


def _offered(data: Data, needed: str, random: Random, count: int) -> tuple[dict[str, Any], ...]:
    """Return `count` tools in a random order, the needed one among them."""
    others = [tool for tool in data.tools if tool["name"] != needed]
    chosen = [tool for tool in data.tools if tool["name"] == needed]
    chosen += random.sample(others, min(count - len(chosen), len(others)))
    random.shuffle(chosen)
    return tuple({"type": "function", "function": _described(tool, random)} for tool in chosen)


def _described(tool: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a tool with its description, sometimes with another one or with none."""
    others = [tool["description"], tool["name"].replace("_", " "), None]
    return {**tool, "description": random.choices(others, [4, 1, 1])[0]}


def _filled(template: Sums | Pairs | Template, values: dict[str, Any]) -> Dialogue:
    return _asked(
        template.ask.format(**values), template.think.format(**values), template.say.format(**values)
    )


def _asked(question: str, thought: str, answer: str) -> Dialogue:
    return Dialogue(({"role": "user", "content": question},), _answer(thought, answer))


def _answer(thought: str, text: str) -> str:
    """Return what the model writes: the prompt has opened its thoughts."""
    return f"{thought}\n</think>\n\n{text}"
