"""Items about the text: true answers, damaged text, loops, languages, equal answers to equal questions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launch.acceptance import text
from launch.acceptance.answer import Answer
from launch.acceptance.client import Session
from launch.acceptance.prompts import Fact, prompts
from launch.acceptance.types import Finding, failed, passed

GREEDY = {"temperature": 0}
CONCURRENCY = 4
MOST_WRONG = 0.25  # share of wrong answers that a healthy model may give
LANGUAGES_KEPT = 0.75
REPEATS = 4
SAME_START = 48  # characters; later, rounding may decide between near ties on a GPU
SPREAD = 0.5  # nats between the log probabilities of the same token; rounding in bfloat16 makes about 0.1


def facts(session: Session) -> Finding:
    """Ask questions with one right answer."""
    asked = prompts().facts
    answers = session.chat_all([{"asked": fact.ask, **GREEDY} for fact in asked], CONCURRENCY)
    return judge_facts(asked, answers)


def judge_facts(asked: Sequence[Fact], answers: Sequence[Answer]) -> Finding:
    """Judge the answers to questions with one right answer."""
    wrong = [(f.ask, a.text) for f, a in zip(asked, answers, strict=True) if not re.search(f.expect, a.text)]
    right = 1 - len(wrong) / len(asked)
    if wrong and len(wrong) / len(asked) > MOST_WRONG:
        return failed(
            "wrong-answers", f"'{wrong[0][0]}' was answered '{short(wrong[0][1])}'", right_answers=right
        )
    return passed(f"{len(asked) - len(wrong)} of {len(asked)} answers are right", right_answers=right)


def readable(session: Session) -> Finding:
    """Ask for long answers."""
    answers = session.chat_all([{"asked": question, **GREEDY} for question in prompts().long], CONCURRENCY)
    return judge_readable(answers)


def judge_readable(answers: Sequence[Answer]) -> Finding:
    """Judge long English texts and their thoughts."""
    english = prompts().english
    for answer in answers:
        shown = short(answer.text or answer.thoughts)
        if found := text.loop(answer.whole):
            return failed("looping", f"{found}: '{shown}'")
        if answer.finish == "length":
            return failed("looping", f"an answer does not end: '{shown}'")
        if found := text.damage(answer.whole) or text.garbled(answer.text, english):
            return failed("garbled", f"{found}: '{shown}'")
    bits = max(text.entropy(answer.text) for answer in answers)
    return passed(
        f"{len(answers)} long answers are English, at most {bits:.1f} bits a character", entropy=bits
    )


def languages(session: Session) -> Finding:
    """Ask questions in other languages."""
    asked = prompts().languages
    answers = session.chat_all([{"asked": one.ask} for one in asked], CONCURRENCY)
    kept = [text.in_language(a.text, one.script, one.words) for one, a in zip(asked, answers, strict=True)]
    rate = sum(kept) / len(kept)
    metrics = {"language_following_success_rate": rate}
    if rate < LANGUAGES_KEPT:
        lost = kept.index(False)
        evidence = f"a question in {asked[lost].language} was answered '{short(answers[lost].text)}'"
        return failed("language", evidence, **metrics)
    return passed(f"{sum(kept)} of {len(kept)} answers keep the language of the question", **metrics)


def greedy(session: Session) -> Finding:
    """Ask the same questions several times with temperature 0."""
    questions = [fact.ask for fact in prompts().facts[:3]] + [prompts().long[0]]
    for question in questions:
        answers = [session.chat(question, **GREEDY).whole for _ in range(REPEATS)]
        if differs := first_difference(answers):
            return failed("nondeterministic", f"'{question}': {differs}")
    return passed(f"{len(questions)} questions, {REPEATS} times each: equal answers")


def first_difference(answers: Sequence[str]) -> str:
    """Describe two answers that differ early; "" if all start alike."""
    for answer in answers[1:]:
        if answer[:SAME_START] != answers[0][:SAME_START]:
            return f"'{short(answers[0])}' and '{short(answer)}'"
    return ""


def batch(session: Session) -> Finding:
    """Ask the questions with one right answer again, eight at a time, and compare with one at a time."""
    asked = prompts().facts
    bodies = [{"asked": fact.ask, **GREEDY} for fact in asked]
    alone, together = session.chat_all(bodies, 1), session.chat_all(bodies * 2, 8)
    for fact, answer in zip([*asked, *asked], together, strict=True):
        before = alone[asked.index(fact)]
        if re.search(fact.expect, before.text) and not re.search(fact.expect, answer.text):
            evidence = f"'{fact.ask}': alone '{short(before.text)}', with 7 others '{short(answer.text)}'"
            return failed("batch", evidence)
    same = sum(a.whole == b.whole for a, b in zip([*alone, *alone], together, strict=True))
    rate = same / len(together)
    return passed(f"as right as alone; {same} of {len(together)} answers are the same text", equal_texts=rate)


def replicas(session: Session) -> Finding:
    """Compare the probability of the first token of unusual texts over several requests."""
    for odd in prompts().odd:
        seen: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            answer = session.chat(odd, max_tokens=1, logprobs=True, top_logprobs=1, **GREEDY)
            if not answer.logprobs:
                return Finding("skipped", "the server returns no log probabilities")
            token = answer.logprobs[0]
            seen.setdefault(str(token["token"]), []).append(float(token["logprob"]))
        if differs := spread(seen):
            return failed("replicas", f"'{odd}': {differs}")
    return passed(
        f"{len(prompts().odd)} unusual texts, {REPEATS} times each: the same first token and probability"
    )


def spread(seen: dict[str, list[float]]) -> str:
    """Describe how the first tokens and their log probabilities differ; "" if rounding explains it."""
    values = [value for found in seen.values() for value in found]
    if max(values) - min(values) > SPREAD:
        return f"the log probability of the first token is between {min(values):.2f} and {max(values):.2f}"
    if len(seen) > 1 and max(values) > -SPREAD:  # not a tie: the token has more than half of the probability
        return f"the first token is one of {', '.join(map(repr, seen))}"
    return ""


def short(answer: str) -> str:
    """Return the start of an answer on one line."""
    line = " ".join(answer.split())
    printable = "".join(char if char.isprintable() else "?" for char in line)
    return printable if len(printable) <= 80 else f"{printable[:80]}..."
