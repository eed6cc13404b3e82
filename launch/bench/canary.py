"""Ask a server greedy questions before and after a run, so that figures of a broken model are noticed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from errors import Failed
from launch.acceptance.prompts import Fact, prompts
from launch.acceptance.text import damage, loop
from launch.bench.validity import CanaryAnswer
from launch.serving.openai_client import ask

QUESTIONS = 3
MAX_TOKENS = 256  # a model that thinks names the answer within so many
TIMEOUT = 120.0  # seconds for one answer
_VARIETY = (20, 4)  # a text of so many characters has more different characters than this
_SHOWN = 60  # characters of an answer


@dataclass(frozen=True)
class Canary:
    """The questions to one server. `known`: its model has a recipe, so it must give the right answers."""

    url: str
    model: str
    key: str = ""
    known: bool = False

    def before(self) -> tuple[CanaryAnswer, ...]:
        """Return the answers before a run. Raises Failed if the server does not answer."""
        return tuple(self._before(fact) for fact in _facts())

    def after(self, before: tuple[CanaryAnswer, ...]) -> tuple[CanaryAnswer, ...]:
        """Return the answers with those after the run. That a server does not answer is a symptom; it is asked once."""
        answers: list[CanaryAnswer] = []
        for fact, answer in zip(_facts(), before, strict=False):
            try:
                answers.append(self._after(fact, answer))
            except Failed as error:
                why = f"{error.what} ({error.why})" if error.why else error.what
                return (*answers, replace(answer, symptom_after=why), *before[len(answers) + 1 :])
        return tuple(answers)

    def _before(self, fact: Fact) -> CanaryAnswer:
        text = self._ask(fact)
        return CanaryAnswer(fact.ask, text, symptom_before=symptom(text, fact.expect if self.known else ""))

    def _after(self, fact: Fact, answer: CanaryAnswer) -> CanaryAnswer:
        was_right = re.search(fact.expect, answer.before) is not None
        text = self._ask(fact)
        found = symptom(text, fact.expect if self.known or was_right else "")
        return replace(answer, after=text, symptom_after=found)

    def _ask(self, fact: Fact) -> str:
        deltas = ask(
            self.url,
            self.model,
            fact.ask,
            max_tokens=MAX_TOKENS,
            temperature=0,
            api_key=self.key,
            timeout=TIMEOUT,
        )
        return "".join(delta.text for delta in deltas)


def symptom(text: str, expected: str) -> str:
    """Describe what is wrong with an answer; "" if nothing. `expected` is a regular expression, "" if not known."""
    if not text.strip():
        return "the answer is empty"
    if found := damage(text) or loop(text):
        return f"the answer has {found}" if damage(text) else f"the answer repeats {found}"
    length, variety = _VARIETY
    if len(text.strip()) >= length and len(set(text.strip())) <= variety:
        return f"the answer is {_shown(text)}"
    if expected and not re.search(expected, text):
        return f"the answer is {_shown(text)}"
    return ""


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line[:_SHOWN]}{'...' if len(line) > _SHOWN else ''}'"


def _facts() -> tuple[Fact, ...]:
    return prompts().facts[:QUESTIONS]
