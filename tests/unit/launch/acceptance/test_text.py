"""Judge a text: what is damaged, what loops, which language it is."""

from __future__ import annotations

import random

import pytest

from launch.acceptance import text
from launch.acceptance.prompts import prompts

STORY = (
    "Once a small ship stood on the slipway of a quiet harbour. For a whole year the workers had laid her keel and "
    "closed her hull. On the first warm day of spring the blocks were knocked away, and she slid into the water."
)


def test_garbled_accepts_prose() -> None:
    assert text.garbled(STORY, prompts().english) == ""


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (STORY.replace("ship", "sh�p"), "replacement"),
        (STORY.replace("ship", "sh\x00p"), "control"),
        ("A ship.", "only 2 words"),
        ("船" * 60 + " 台 地 方" * 20, "bits a character"),
        (" ".join(["корабль стоит на берегу и ждёт весны"] * 5), "Latin letters"),
        (" ".join(["Schiff Kiel Rumpf Werft Mast Segel Anker"] * 5), "frequent English words"),
    ],
)
def test_garbled_names_what_is_wrong(broken: str, found: str) -> None:
    assert found in text.garbled(broken, prompts().english)


def test_garbled_rejects_random_letters() -> None:
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz     ", k=400)
    assert text.garbled("".join(letters), prompts().english)


def test_garbled_rejects_tokens_of_many_scripts() -> None:
    tokens = random.Random(1).choices(["the", "корабль", "船", "ship", "πλοίο", "の", "سفينة", "는"], k=200)
    assert text.garbled(" ".join(tokens), prompts().english)


@pytest.mark.parametrize(
    ("looping", "found"),
    [
        ("It is is is is is is is is", "'is' 8 times"),
        (" ".join(["the ship slides into the sea"] * 12), "groups of four words"),
    ],
)
def test_loop_is_found(looping: str, found: str) -> None:
    assert found in text.loop(looping)


def test_loop_accepts_prose_and_short_repeats() -> None:
    assert text.loop(STORY) == ""
    assert text.loop("no no no, row row row your boat") == ""


def test_entropy_is_that_of_the_characters() -> None:
    assert text.entropy("aaaa") == 0
    assert text.entropy("abab") == 1
    assert text.entropy("") == 0


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("Die Hauptstadt von Frankreich ist **Paris**.", "German"),
        ("La capital de Francia es París.", "Spanish"),
        ("Столица Франции — Париж (Paris).", "Russian"),
        ("法国的首都是巴黎。", "Chinese"),
        ("Το ναυπηγείο είναι ο τόπος όπου χτίζονται τα πλοία.", "Greek"),
    ],
)
def test_in_language_accepts_its_own_language_only(answer: str, language: str) -> None:
    questions = {(one.language, one.script, one.words) for one in prompts().languages}
    kept = {name for name, script, words in questions if text.in_language(answer, script, words)}
    assert kept == {language}


def test_in_language_rejects_english() -> None:
    assert not any(
        text.in_language("The capital of France is Paris.", one.script, one.words)
        for one in prompts().languages
    )
