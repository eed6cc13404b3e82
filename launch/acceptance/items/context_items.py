"""The item about the length of the context: a sentence hidden at several depths is found again."""

from __future__ import annotations

from collections.abc import Sequence

from launch.acceptance.client import Session
from launch.acceptance.items.text_items import GREEDY, short
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
QUICK_DEPTHS = (0.5,)
SENTENCES = 40  # in the prompt that measures the tokens of a sentence
UNKNOWN_LENGTH = 8192  # tokens that are tried if the server does not tell its longest context
ANSWER = 2048  # tokens that are left for thoughts and answer, at most a tenth of the context
SHORTEST_ANSWER = 96


def hidden(word: str, sentences: int, depth: float) -> str:
    """Return the question about a code word that stands at `depth` (0 to 1) of so many sentences."""
    needle = prompts().needle
    lines = [needle.filler[i * 5 % len(needle.filler)] for i in range(sentences)]
    lines.insert(round(depth * sentences), needle.hidden.format(word=word))
    return " ".join([*lines, needle.ask])


def fill(length: int, small: tuple[int, int], large: tuple[int, int]) -> int:
    """Return how many sentences make a prompt of `length` tokens, from two measured (sentences, tokens)."""
    per_sentence = (large[1] - small[1]) / (large[0] - small[0])
    return max(0, int((length - small[1]) / per_sentence + small[0]))


def context(session: Session) -> Finding:
    """Hide a sentence at several depths of a context that is nearly as long as the server allows."""
    return _context(session, DEPTHS)


def quick_context(session: Session) -> Finding:
    """Hide a sentence in the middle of a context that is nearly as long as the server allows."""
    return _context(session, QUICK_DEPTHS)


def _context(session: Session, depths: Sequence[float]) -> Finding:
    longest = session.target.max_model_len or UNKNOWN_LENGTH
    reserve = max(SHORTEST_ANSWER, min(ANSWER, longest // 10))
    word = prompts().needle.words[0]
    measured = [
        (count, session.chat(hidden(word, count, 0.5), max_tokens=1).prompt_tokens)
        for count in (1, SENTENCES)
    ]
    sentences = fill(longest - reserve, measured[0], measured[1]) if measured[1][1] else 100
    tokens = 0
    for word, depth in zip(prompts().needle.words, depths, strict=False):
        answer = session.chat(hidden(word, sentences, depth), max_tokens=reserve, **GREEDY)
        tokens = answer.prompt_tokens
        if word.lower() not in answer.text.lower():
            where = f"at {depth:.0%} of {tokens} tokens"
            return failed(
                "needle", f"'{word}' {where} was not found: '{short(answer.text or answer.thoughts)}'"
            )
    at = ", ".join(f"{depth:.0%}" for depth in depths)
    return passed(f"a sentence at {at} of {tokens} tokens is found", context_tokens=tokens)
