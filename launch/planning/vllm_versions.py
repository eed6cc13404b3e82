"""Flags and environment variables by vLLM version: replace, leave out or refuse what the planned version lacks.

An image's capabilities decide if they are known, else the dated table in vllm_versions.yaml. Options of the recipe are
adapted with a note. Options of the user are never changed: one that vLLM would not accept is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from packaging.version import InvalidVersion, Version
from pydantic import PlainValidator

from errors import Refused, choice
from launch.data_file import load
from launch.spec.capabilities import Capabilities
from launch.spec.image_reference import DOCKER_HUB, ImageReference
from launch.spec.inputs import Image
from launch.spec.vllm_args import Arg, Draft, EnvVar

USER = "user"  # the source of an option that the user sets
SET_BY_USER = "set by the user"
Release = Annotated[Version, PlainValidator(Version)]


@dataclass(frozen=True)
class VersionRow:
    """One name of vllm_versions.yaml: the first release that has it, and the first that lacks it again."""

    since: Release | None = None
    gone: Release | None = None
    flag: str = ""
    env: str = ""
    note: str = ""
    merged: date | None = None
    pull: int = 0
    seen: str = ""

    def is_in(self, version: Version) -> bool:
        """Return whether this vLLM has the name."""
        return (self.since is None or version >= self.since) and (self.gone is None or version < self.gone)

    @property
    def source(self) -> str:
        """Return the change in vLLM, or what was read from an image."""
        return f"vLLM #{self.pull}, {self.merged}" if self.pull else self.seen


@dataclass(frozen=True)
class VersionTable:
    """The content of vllm_versions.yaml."""

    planned: str
    newest: str
    images: dict[str, str]
    serves_by_itself: tuple[str, ...]
    env: dict[str, VersionRow]
    flags: dict[str, VersionRow]
    unread: dict[str, str]


@cache
def table() -> VersionTable:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), VersionTable)


def parse(version: str) -> Version:
    """Return a vLLM version without its pre-release and build parts. Raises Refused if it is not a version."""
    try:
        return Version(Version(version).base_version)
    except InvalidVersion as error:
        raise Refused(f"'{version}' is not a vLLM version", fix="--vllm 0.32.0") from error


def image_for(
    platform: str, version: str, reference: str = "", capabilities: Capabilities | None = None
) -> Image:
    """Return the given image, else that of platform and version. Some repositories have a known ENTRYPOINT."""
    version = (capabilities.vllm_version if capabilities else "") or version
    assumed = bool(reference) and not version
    version = version or table().planned
    parse(version)
    images = table().images
    reference = reference or images.get(platform, images["cuda"]).replace("{version}", version)
    parsed = ImageReference.parse(reference)
    serves = parsed.registry == DOCKER_HUB and parsed.repository in table().serves_by_itself
    return Image(reference, version, ("vllm", "serve") if serves else (), capabilities, assumed)


@dataclass(frozen=True)
class Replacement:
    """What an option or a variable becomes, and why. With an empty `why` it is unchanged."""

    args: tuple[Arg, ...] = ()
    env: tuple[EnvVar, ...] = ()
    why: str = ""


def adapt(draft: Draft, image: Image) -> Draft:
    """Return the command for the image's vLLM. Raises Refused for an option of the user that it lacks."""
    version = parse(image.vllm_version)
    replacements = [_adapt_env(variable, version, image.capabilities) for variable in draft.env]
    replacements += [_adapt_arg(arg, version, image.capabilities) for arg in draft.args]
    args = [arg for replacement in replacements for arg in replacement.args]
    env = [variable for replacement in replacements for variable in replacement.env]
    unread = [f"{v.name}: {table().unread[v.name]}" for v in env if v.name in table().unread]
    adapted = replace(draft, args=_unchanged_first(args, draft.args), env=tuple(env))
    return adapted.corrected(*(found.why for found in replacements if found.why)).add(notes=unread)


def _unchanged_first(args: Iterable[Arg], before: tuple[Arg, ...]) -> tuple[Arg, ...]:
    """Move the flags that replace variables to the end. A flag that the recipe also sets wins over them."""
    args = list(args)
    unchanged = [arg for arg in args if arg in before]
    keys = {arg.key for arg in unchanged}
    return (*unchanged, *(arg for arg in args if arg not in before and arg.key not in keys))


def _adapt_env(variable: EnvVar, version: Version, capabilities: Capabilities | None) -> Replacement:
    row = table().env.get(variable.name)
    if _has_env(variable.name, row, version, capabilities):
        return Replacement(env=(variable,))
    why = _lacks(variable.name, row, version)
    if variable.source == USER:
        raise Refused(why, fix=_instead_of_env(variable, row))
    if row and row.flag:
        arg = Arg(row.flag, (variable.value,), row.source, f"replaces {variable.name}")
        return Replacement(args=(arg,), why=f"{why}: replaced by {row.flag} {variable.value}")
    return Replacement(why=_left_out(why, row))


def _instead_of_env(variable: EnvVar, row: VersionRow | None) -> str:
    if row and row.flag:
        return f"--set {row.flag}={variable.value}"
    note = f" ({row.note})" if row and row.note else ""
    return f"leave out --env {variable.name}{note}"


def _adapt_arg(arg: Arg, version: Version, capabilities: Capabilities | None) -> Replacement:
    if capabilities:
        _check_parser(arg, capabilities)
    row = table().flags.get(arg.key)
    if _has_flag(arg, row, version, capabilities):
        return Replacement(args=(arg,))
    why = _lacks(arg.flag, row, version)
    if arg.source == USER:
        fix = f"--env {row.env}={arg.value}" if row and row.env else f"leave out --set {arg.flag}"
        raise Refused(why, fix=fix)
    if row and row.env:
        variable = EnvVar(row.env, arg.value, row.source, f"was replaced by {arg.flag} in later versions")
        return Replacement(env=(variable,), why=f"{why}: replaced by {row.env}={arg.value}")
    return Replacement(why=_left_out(why, row))


def _left_out(why: str, row: VersionRow | None) -> str:
    return f"{why}: left out" + (f"; {row.note}" if row and row.note else "")


def _lacks(name: str, row: VersionRow | None, version: Version) -> str:
    return f"vLLM {version} does not know {name}" + (f" ({row.source})" if row else "")


def _has_env(name: str, row: VersionRow | None, version: Version, capabilities: Capabilities | None) -> bool:
    if capabilities and capabilities.env and name.startswith("VLLM_"):
        return name in capabilities.env
    return row is None or row.is_in(version)


def _has_flag(arg: Arg, row: VersionRow | None, version: Version, capabilities: Capabilities | None) -> bool:
    if capabilities and capabilities.flags:
        head = arg.key.partition(".")[0]
        return not capabilities.flags.isdisjoint((arg.flag, head, head.replace("--no-", "--", 1)))
    return row is None or row.is_in(version)


def _check_parser(arg: Arg, capabilities: Capabilities) -> None:
    """Raise Refused for a parser that the image's vLLM does not have."""
    parsers = {
        "--tool-call-parser": capabilities.tool_parsers,
        "--reasoning-parser": capabilities.reasoning_parsers,
    }
    choices = parsers.get(arg.key)
    if choices and arg.value not in choices:
        raise choice(arg.key.removeprefix("--").replace("-", " "), arg.value, sorted(choices))
