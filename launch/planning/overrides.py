"""The user's own words: they win over the recipe's, and the plan says what they took the place of."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from errors import Refused, choice
from launch.data_file import load
from launch.planning.vllm_versions import USER
from launch.recipes.extension import Workaround
from launch.recipes.schema import Recipe
from launch.spec.inputs import PlanOptions
from launch.spec.vllm_args import Arg, Draft, Setting, parse

# A token in the server's environment can be read by every process in the container.
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN")


@cache
def workarounds() -> dict[str, Workaround]:
    """Cures for every recipe."""
    return load(Path(__file__).with_name("workarounds.yaml"), dict[str, Workaround])


def apply(draft: Draft, options: PlanOptions, recipe: Recipe) -> Draft:
    """The command with the wish in it. Raises Refused for a wish that cannot be one."""
    draft = _responses_api(draft, options, recipe)
    for name in options.workarounds:
        draft = _cure(draft, name, recipe)
    if options.max_model_len is not None:
        draft = _set(draft, "--max-model-len", str(options.max_model_len))
    for flag, value in options.settings:
        draft = _set(draft, flag, value)
    return _env(draft, options.env)


def _responses_api(draft: Draft, options: PlanOptions, recipe: Recipe) -> Draft:
    if not options.responses_api:
        return draft
    own = recipe.ours.responses_api
    if own is None:
        raise Refused(
            f"{recipe.name} says nothing about the Responses API", fix="--set --reasoning-parser=NAME"
        )
    why = "the Responses API wants thinking apart from the answer"
    return draft.add(parse(own.args or (), f"{recipe.file}: x-slipway.responses_api", why))


def _cure(draft: Draft, name: str, recipe: Recipe) -> Draft:
    known = {**workarounds(), **recipe.ours.workarounds}
    if name not in known:
        raise choice("workaround", name, tuple(known))
    workaround, source = known[name], f"--workaround {name}"
    env = (Setting(key, value, source, workaround.why) for key, value in workaround.env.items())
    return draft.add(parse(workaround.args, source, workaround.why), env)


def _set(draft: Draft, flag: str, value: str) -> Draft:
    """One --set: true and false switch a switch."""
    if not flag.startswith("--") or len(flag) < 3 or value == "":
        raise Refused(
            f"--set {flag}: a flag of vLLM and its value are wanted", fix="--set --max-num-seqs=256"
        )
    switch = value.lower() if "." not in flag else ""
    arg = Arg(flag, () if switch == "true" else (value,), USER, "your word")
    old = draft.get(arg.key)
    notes = (
        _instead(flag, value, old.value or "it is on", old.source) if old and old.values != arg.values else ()
    )
    if switch != "false":
        return draft.add((arg,), notes=notes)
    if old:
        return draft.without(arg.key).add(notes=notes)
    return draft.add((Arg(f"--no-{flag[2:]}", (), USER, "your word"),))


def _env(draft: Draft, env: Iterable[tuple[str, str]]) -> Draft:
    old = {setting.name: setting for setting in draft.env}
    for name, value in env:
        if name in SECRETS:
            why = "a token never goes into the server's container; the weights are fetched before it starts"
            raise Refused(f"--env {name}", why=why, fix="invoke login, then invoke fetch")
        was = old.get(name)
        notes = _instead(name, value, was.value, was.source) if was and was.value != value else ()
        draft = draft.add(env=(Setting(name, value, USER, "your word"),), notes=notes)
    return draft


def _instead(name: str, value: str, old: str, source: str) -> tuple[str, ...]:
    return (f"{name} {value}: your word, instead of {old} ({source})",)
