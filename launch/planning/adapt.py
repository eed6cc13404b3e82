"""Hold a command against the vocabulary of the image's vLLM: every option, key, value and variable.

Options of the recipe are replaced or left out, with a note, if it is known what became of them. Options of the user are
never changed: one that vLLM would not accept is refused. What the image itself says it accepts counts, else the
vocabulary of its version, with the dated table in vllm_versions.yaml for what replaces what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from errors import Refused, choice
from launch.planning.config_keys import fix_keys
from launch.planning.known_names import Known, head, in_versions, known_names, similar_option, written_out
from launch.planning.near import hint
from launch.planning.option_values import dotted_faults, env_fault, shown, value_faults
from launch.planning.vllm_versions import USER, VersionRow, parse, table
from launch.spec.inputs import Image
from launch.spec.plan_options import VARIABLE
from launch.spec.vllm_args import Arg, Draft, EnvVar, last_wins
from launch.spec.vocabulary import versions_with_env, versions_with_option

PLUGINS = {"--tool-call-parser": "--tool-parser-plugin", "--reasoning-parser": "--reasoning-parser-plugin"}


@dataclass(frozen=True)
class Replacement:
    """What an option or a variable becomes, and why. With an empty `why` it is unchanged."""

    args: tuple[Arg, ...] = ()
    env: tuple[EnvVar, ...] = ()
    why: str = ""


def adapt(draft: Draft, image: Image) -> Draft:
    """Return the command for the image's vLLM. Raises Refused for what it does not accept and nothing replaces."""
    known = known_names(image, parse(image.vllm_version))
    _check_variables(draft)
    draft = _written_out(draft, known)
    replacements = [_adapt_env(variable, known) for variable in draft.env]
    replacements += [_adapt_arg(arg, known) for arg in draft.args]
    args = [arg for replacement in replacements for arg in replacement.args]
    env = [variable for replacement in replacements for variable in replacement.env]
    unread = [f"{v.name}: {table().unread[v.name]}" for v in env if v.name in table().unread]
    adapted = replace(draft, args=_unchanged_first(args, draft.args), env=tuple(env))
    adapted = adapted.corrected(*(found.why for found in replacements if found.why)).add(notes=unread)
    _check_values(adapted, known)
    return adapted


def _check_variables(draft: Draft) -> None:
    """Raise Refused for a variable of the recipe that no shell takes; those of the user were checked before."""
    for variable in draft.env:
        if variable.source != USER and not VARIABLE.fullmatch(variable.name):
            what = f"{shown(variable.name)!a} is not the name of a variable"
            raise Refused(what, why=f"{variable.source} sets it", fix="correct the recipe")


def _written_out(draft: Draft, known: Known) -> Draft:
    """Return the command with abbreviated options as argparse completes them, so that the planner knows them."""
    pairs = [(arg, written_out(arg, known.words) if known.exact else arg) for arg in draft.args]
    changed = [f"{old.flag} is short for {new.flag}" for old, new in pairs if new is not old]
    if not changed:
        return draft
    return replace(draft, args=last_wins([new for _, new in pairs])).corrected(*changed)


def _unchanged_first(args: Iterable[Arg], before: tuple[Arg, ...]) -> tuple[Arg, ...]:
    """Move the flags that replace variables to the end. A flag that the recipe also sets wins over them."""
    args = list(args)
    places = {arg.key for arg in before}
    unchanged = [arg for arg in args if arg.key in places]
    keys = {arg.key for arg in unchanged}
    return (*unchanged, *(arg for arg in args if arg.key not in keys))


# ---- variables


def _adapt_env(variable: EnvVar, known: Known) -> Replacement:
    row = table().env.get(variable.name)
    if _has(known, row, known.has_env(variable.name)):
        return Replacement(env=(variable,))
    why = _lacks(variable.name, row, known)
    elsewhere = in_versions(versions_with_env(variable.name))
    if variable.source == USER:
        near = "" if row or elsewhere else hint(variable.name, known.words.env)
        if not (row or elsewhere or near or known.exact):
            return Replacement(env=(variable,))
        raise Refused(why + near, why="" if row else elsewhere, fix=_instead_of_env(variable, row))
    if row and row.flag:
        arg = Arg(row.flag, (variable.value,), row.source, f"replaces {variable.name}")
        return Replacement(args=(arg,), why=f"{why}: replaced by {row.flag} {variable.value}")
    if not (row or known.checks_names):
        return Replacement(env=(variable,))
    return Replacement(why=_left_out(why, row, elsewhere))


def _instead_of_env(variable: EnvVar, row: VersionRow | None) -> str:
    if row and row.flag:
        return f"--set {row.flag}={variable.value}"
    note = f" ({row.note})" if row and row.note else ""
    return f"leave out --env {variable.name}{note}"


# ---- options


def _adapt_arg(arg: Arg, known: Known) -> Replacement:
    row = table().flags.get(head(arg))
    if (switch := _switched_off(arg, known)) is not None:
        return Replacement(args=switch)
    if not _has(known, row, known.has_option(arg)):
        return _lacking(arg, row, known)
    if row and row.again and known.version >= row.again and arg.source != USER:
        why = f"{arg.flag} is not in every release ({row.source})"
        return Replacement(why=_left_out(why, row, ""))
    return _adapt_keys(arg, known)


def _switched_off(arg: Arg, known: Known) -> tuple[Arg, ...] | None:
    """Return a switch of the user that is off in a form that vLLM has; () if it is off unless it is given.

    None: it is not such a switch.
    """
    option = known.words.option(head(arg).replace("--no-", "--", 1))
    if arg.source != USER or not head(arg).startswith("--no-") or option is None or option.kind != "switch":
        return None
    return tuple(replace(arg, flag=name) for name in option.off[:1])


def _lacking(arg: Arg, row: VersionRow | None, known: Known) -> Replacement:
    """Replace, leave out or refuse an option that this version does not have."""
    why = _lacks(shown(arg.flag), row, known)
    elsewhere = in_versions(versions_with_option(head(arg)))
    if arg.source == USER:
        return _users(arg, row, known, why, elsewhere)
    if row and row.use:
        return Replacement(args=(replace(arg, flag=row.use),), why=f"{why}: replaced by {row.use}")
    if row and row.env:
        variable = EnvVar(row.env, arg.value, row.source, f"was replaced by {arg.flag} in later versions")
        return Replacement(env=(variable,), why=f"{why}: replaced by {row.env}={arg.value}")
    if not (row or known.checks_names):
        return Replacement(args=(arg,))
    if row or elsewhere:
        return Replacement(why=_left_out(why, row, elsewhere))
    raise Refused(why + similar_option(arg, known.words), why=f"{arg.source} sets it", fix=_correct(arg))


def _users(arg: Arg, row: VersionRow | None, known: Known, why: str, elsewhere: str) -> Replacement:
    """Refuse an option of the user; keep one of which nothing is known if the version is not known either."""
    near = "" if row or elsewhere else similar_option(arg, known.words)
    if not (row or elsewhere or near or known.checks_names):
        return Replacement(args=(arg,))
    fix = _correct(arg)
    if row and (row.use or row.env):
        fix = f"--set {row.use}={arg.value}" if row.use else f"--env {row.env}={arg.value}"
    raise Refused(why + near, why="" if row else elsewhere, fix=fix)


def _adapt_keys(arg: Arg, known: Known) -> Replacement:
    """Replace and leave out keys of a JSON option of the recipe that this version lacks."""
    option = known.option(arg)
    if arg.source == USER or option is None or not option.config or not known.exact:
        return Replacement(args=(arg,))
    fixed, why = fix_keys(arg, option, known.words)
    return Replacement(args=(fixed,) if fixed else (), why="; ".join(why))


def _has(known: Known, row: VersionRow | None, found: bool) -> bool:
    """Return whether vLLM has a name: as the image or its vocabulary says, else as the dated table says."""
    if found and (known.exact or known.checks_names or row is None):
        return True
    if known.checks_names:
        return False
    return row is not None and row.is_in(known.version)


def _left_out(why: str, row: VersionRow | None, elsewhere: str) -> str:
    if row and row.note:
        return f"{why}: left out; {row.note}"
    return f"{why}: left out" + (f" ({elsewhere})" if elsewhere and not row else "")


def _lacks(name: str, row: VersionRow | None, known: Known) -> str:
    return f"vLLM {known.version} does not know {name}" + (f" ({row.source})" if row else "")


def _correct(arg: Arg) -> str:
    return f"leave out --set {shown(arg.flag)}" if arg.source == USER else "correct the recipe"


# ---- values


def _check_values(draft: Draft, known: Known) -> None:
    """Raise Refused for the first option or variable whose value vLLM would not accept."""
    for arg in draft.args:
        _check_arg(arg, known)
    _check_parsers(draft, known)
    for variable in draft.env:
        kind = known.words.env.get(variable.name) if variable.name.startswith("VLLM_") else None
        judged = kind and (known.exact or variable.source == USER)
        if judged and kind and (fault := env_fault(kind, variable.value)):
            what = f"{variable.name} {fault}"
            raise Refused(what, why=_for_version(known, variable.source), fix=_without_env(variable))


def _without_env(variable: EnvVar) -> str:
    return f"leave out --env {variable.name}" if variable.source == USER else "correct the recipe"


def _check_arg(arg: Arg, known: Known) -> None:
    option = known.option(arg)
    if option is None or not (known.exact or arg.source == USER):
        return
    key = arg.key.partition(".")[2]
    found = (
        dotted_faults(option, key, arg.values, known.words)
        if key
        else value_faults(option, arg.values, known.words, known.plugins)
    )
    if head(arg) in option.off and arg.values:
        found = iter(("takes no value",))
    if fault := next(iter(found), ""):
        raise Refused(f"{shown(arg.flag)} {fault}", why=_for_version(known, arg.source), fix=_correct(arg))


def _for_version(known: Known, source: str) -> str:
    version = (
        f"checked against vLLM {known.version}"
        if known.exact
        else "checked against all known versions of vLLM"
    )
    return version if source == USER else f"{version}; {source} sets it"


def _check_parsers(draft: Draft, known: Known) -> None:
    """Raise Refused for a parser that the image's vLLM does not have; a plugin may bring its own."""
    for flag, plugin in PLUGINS.items():
        arg = draft.get(flag)
        choices = known.parsers(flag.split("-")[2])
        if arg and choices and arg.value not in choices and not draft.get(plugin):
            error = choice(flag.removeprefix("--").replace("-", " "), arg.value, sorted(choices))
            raise Refused(error.what, why=_for_version(known, arg.source), fix=error.fix or _correct(arg))
