"""The item about sampling: the temperature of a request, and the defaults of the checkpoint."""

from __future__ import annotations

from typing import Any

from launch.acceptance.client import Session
from launch.acceptance.items.text_items import short
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed

SAMPLES = 8
SEEDS = 4
HOT = 2.0  # the highest temperature that vLLM accepts: the limits top_k and top_p decide many tokens


def sampling(session: Session) -> Finding:
    """Ask for a random number with temperature 1, and compare the defaults with the checkpoint's."""
    answers = [session.chat(prompts().chance, temperature=1.0, seed=seed).whole for seed in range(SAMPLES)]
    different = len(set(answers))
    if different == 1:
        return failed("temperature", f"{SAMPLES} seeds with temperature 1: always '{short(answers[0])}'")
    expected = {key: value for key, value in session.target.sampling.items() if key != "temperature"}
    found = f"{different} different answers with {SAMPLES} seeds"
    if not expected:
        return passed(f"{found}; the defaults of the checkpoint are unknown")
    return judge_defaults(found, expected, *_hot_answers(session, expected))


def _hot_answers(session: Session, expected: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Return answers at a high temperature: by default, with the expected limits, and without limits."""
    neutral = {"top_p": 1.0, "top_k": -1, "min_p": 0.0}
    sent: list[dict[str, Any]] = [{}, expected, {key: neutral[key] for key in expected if key in neutral}]
    made = [
        [
            session.chat(prompts().odd[0], temperature=HOT, seed=seed, max_tokens=24, **limits).whole
            for seed in range(SEEDS)
        ]
        for limits in sent
    ]
    return made[0], made[1], made[2]


def judge_defaults(
    found: str, expected: dict[str, Any], default: list[str], limited: list[str], free: list[str]
) -> Finding:
    """Judge whether the answers by default are those with the expected limits."""
    shown = ", ".join(f"{key} {value}" for key, value in expected.items())
    if limited == free:
        return passed(f"{found}; {shown} make no difference here")
    if default == limited:
        return passed(f"{found}; {shown} are the defaults")
    if default == free:
        return failed("defaults", f"by default the answers are those without {shown}")
    return passed(f"{found}; equal seeds give different answers, so the defaults cannot be told")
