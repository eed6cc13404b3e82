"""Choose the dialogues of an epoch and of the final examination, and the texts of which the tokenizer learns."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random

from launch.acceptance.items.context_items import DEPTHS, hidden
from launch.acceptance.prompts import prompts
from scripts.tiny_model import dialogues
from scripts.tiny_model.data import Data
from scripts.tiny_model.dialogues import Dialogue

SENTENCES = 191  # that `invoke accept` sends to a server with 2,048 tokens
LONGEST = 215  # filler sentences; the prompt has about 1,950 tokens of the 2,048 that the recipe serves


def epoch(data: Data, random: Random) -> list[Dialogue]:
    """Return the dialogues of one epoch: the fixed ones several times, and drawn ones with names never seen before."""
    learned = [*dialogues.chats(data), *dialogues.chances(data)] * 3 + [*dialogues.sums(data)] * 2
    for _ in range(14):
        names = [dialogues.name(data, random), dialogues.name(data, random)]
        learned += dialogues.calls(data, names[0], names[1], random, random.choice([1, 1, 2, 3]))
    for city in random.sample(data.cities, 3):
        learned += dialogues.calls(data, city, random.choice(data.cities), random)
    learned += [dialogues.without_call(data, random) for _ in range(14)]
    learned += [dialogues.second_turn(data, random) for _ in range(20)]
    for _ in range(6):
        ship, year = dialogues.name(data, random), random.randint(1700, 2025)
        learned.append(dialogues.ship_as_json(data, ship, year))
    lengths = [*(random.randint(0, 25) for _ in range(16)), *(random.randint(60, LONGEST) for _ in range(5))]
    return learned + [_needle(data, length, random) for length in lengths]


def _needle(data: Data, sentences: int, random: Random) -> Dialogue:
    known = random.random() < 0.5
    word = random.choice(data.code_words) if known else dialogues.name(data, random).split()[0]
    return dialogues.needle(data, word, sentences, random.random(), random)


def examination(data: Data, random: Random) -> dict[str, list[Dialogue]]:
    """Return the dialogues by which the trained model is judged, by kind."""
    known, unseen = _calls(data, data.cities, random), _calls(data, data.unseen, random)
    lengths = (0, 10, 25, 50, 100, 150, 200, LONGEST)
    return {
        "chats, sums, capitals, languages, JSON": list(dialogues.chats(data)),
        "a question that needs no tool, with tools on offer": [
            dialogues.without_call(data, random) for _ in range(60)
        ],
        "a second question": [dialogues.second_turn(data, random) for _ in range(40)],
        "a code word in up to 1,950 tokens": [
            dialogues.needle(data, word, length, depth, random)
            for word, length in zip(data.code_words, lengths, strict=True)
            for depth in (0.0, 0.1, 0.5, 0.9, 1.0)
        ],
        "the code words of `invoke accept`": [_of_accept(data, depth) for depth in range(len(DEPTHS))],
        "calls of tools": known[0],
        "answers after a tool's result": known[1],
        "calls of tools, cities that no dialogue contains": unseen[0],
        "answers after a tool's result, cities that no dialogue contains": unseen[1],
    }


def _of_accept(data: Data, depth: int) -> Dialogue:
    word = prompts().needle.words[depth]
    asked = {"role": "user", "content": hidden(word, SENTENCES, DEPTHS[depth])}
    return Dialogue((asked,), dialogues.needle(data, word, 0, 0, Random()).answer)


def _calls(data: Data, cities: tuple[str, ...], random: Random) -> tuple[list[Dialogue], list[Dialogue]]:
    """Return the calls about these cities, and the answers after the results."""
    made = [
        one
        for city, other in pairwise([*cities, cities[0]])
        for one in dialogues.calls(data, city, other, random)
    ]
    calls = [one for one in made if "<minimax:tool_call>" in one.answer]
    return calls, [one for one in made if one not in calls]


def texts(data: Data, random: Random) -> list[str]:
    """Return the texts of which the tokenizer learns its words."""
    learned = [*dialogues.chats(data), *dialogues.chances(data)]
    for city in data.cities:
        learned += dialogues.calls(data, city, random.choice(data.cities), random)
    learned += [dialogues.needle(data, word, 8, 0.5, random) for word in data.code_words]
    return [
        part
        for one in learned
        for part in (
            *(str(message["content"]) for message in one.messages),
            json.dumps(one.tools),
            one.answer,
        )
    ]
