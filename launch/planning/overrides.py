"""Apply the user's options to a command. They win over the recipe's, and the plan notes what they replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from errors import Refused, choice
from launch.checked_data.data_file import load
from launch.planning.option_values import shown
from launch.planning.spelling import positive, switches
from launch.planning.user_limits import check_setting, check_variable
from launch.planning.vllm_versions import SET_BY_USER, USER
from launch.recipes.schema import Recipe, Workaround
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import Arg, Draft, EnvVar, is_flag, long_form, parse

MOST = 200  # uses of --set or --env
FLAG = re.compile(r"--?(?!no[-_]no[-_])[A-Za-z][A-Za-z0-9_-]*(\.[^\s=]+)?\+?", re.ASCII)
# Every process in the container can read a token in the server's environment.
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN")


@cache
def workarounds() -> dict[str, Workaround]:
    """Return the workarounds that any recipe can use."""
    return load(Path(__file__).with_name("workarounds.yaml"), dict[str, Workaround])


def apply(draft: Draft, options: PlanOptions, recipe: Recipe) -> Draft:
    """Return the command with the user's options. Raises Refused for an option that cannot be applied."""
    draft = _responses_api(draft, options, recipe)
    for name in options.workarounds:
        draft = _workaround(draft, name, recipe)
    if options.max_model_len is not None:
        draft = _set(draft, "--max-model-len", str(options.max_model_len))
    settings = [(long_form(flag), value) for flag, value in options.settings]
    context = [] if options.max_model_len is None else [("--max-model-len", str(options.max_model_len))]
    _check_once("--set", switches((*context, *settings)))
    _check_once("--env", options.env)
    for flag, value in settings:
        check_setting(draft, flag, value)
        draft = _set(draft, flag, value)
    return _env(draft, options.env)


def _check_once(label: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Raise Refused for a name with two different values."""
    seen: dict[str, str] = {}
    for name, value in pairs:
        if len(seen) >= MOST:
            raise Refused(
                f"{label} is used more than {MOST} times", fix="put the values into a recipe: --recipes PATH"
            )
        if seen.setdefault(name, value) != value and not name.endswith("+"):
            both = f"'{shown(seen[name])}' and '{shown(value)}'"
            raise Refused(f"{label} {name} is given twice, with {both}", fix=f"write {label} {name} once")


def _responses_api(draft: Draft, options: PlanOptions, recipe: Recipe) -> Draft:
    if not options.responses_api:
        return draft
    block = recipe.extension.responses_api
    if block is None:
        what = f"{recipe.name} names no reasoning parser for the Responses API"
        raise Refused(what, fix="--set --reasoning-parser=NAME")
    why = "the Responses API returns the reasoning separately from the answer"
    return draft.add(parse(block.args or (), f"{recipe.file}: x-slipway.responses_api", why))


def _workaround(draft: Draft, name: str, recipe: Recipe) -> Draft:
    choices = {**workarounds(), **recipe.extension.workarounds}
    if name not in choices:
        raise choice("workaround", name, tuple(choices))
    workaround, source = choices[name], f"--workaround {name}"
    env = (EnvVar(key, value, source, workaround.why) for key, value in workaround.env.items())
    return draft.add(parse(workaround.args, source, workaround.why), env)


def _set(draft: Draft, flag: str, value: str) -> Draft:
    """Apply one --set. The values true and false switch a flag without a value on and off."""
    if not FLAG.fullmatch(flag) or value == "":
        raise Refused(f"--set '{flag[:80]}' is not a vLLM flag with a value", fix="--set --max-num-seqs=256")
    flag, value = positive((long_form(flag), value))
    switch = value.lower() if "." not in flag else ""
    arg = Arg(flag, () if switch == "true" else (value,), USER, SET_BY_USER, joined=is_flag(value))
    old = draft.get(arg.key)
    differs = old is not None and old.values != arg.values
    notes = [replaced(flag, value, old.value or "a switch that is on", old.source)] if old and differs else ()
    if switch != "false":
        return draft.add((arg,), notes=notes)
    off = Arg(f"--no-{flag[2:]}", (), USER, SET_BY_USER)  # `adapt` leaves it out if the flag has no such form
    return draft.without(arg.key).add((off,), notes=notes)


def _env(draft: Draft, env: Iterable[tuple[str, str]]) -> Draft:
    before = {variable.name: variable for variable in draft.env}
    for name, value in env:
        if name in SECRETS:
            why = (
                "a token must not be in the server's container; weights are fetched before the server starts"
            )
            raise Refused(f"--env {name} is not allowed", why=why, fix="invoke login")
        check_variable(name, value)
        old = before.get(name)
        notes = [replaced(name, value, old.value, old.source)] if old and old.value != value else ()
        draft = draft.add(env=(EnvVar(name, value, USER, SET_BY_USER),), notes=notes)
    return draft


def replaced(name: str, value: str, old: str, source: str) -> str:
    """Return the note on a value of the user that takes the place of another one."""
    return f"{name} {value}: set by the user, replaces {old} ({source})"
