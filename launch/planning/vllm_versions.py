"""Flags and environment by vLLM version: what the planned one does not know is replaced, left out or refused.

The contract of an image decides where there is one; otherwise the dated table in versions.yaml does. The
recipe's words are adapted with a note; the user's are never changed, so a word of theirs that vLLM would not
know is refused.
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
from launch.spec.vllm_args import Arg, Draft, Setting

USER = "user"
Release = Annotated[Version, PlainValidator(Version)]


@dataclass(frozen=True)
class Row:
    """One name of vllm_versions.yaml: the first release that knows it, and the first that does not."""

    since: Release | None = None
    gone: Release | None = None
    flag: str = ""
    env: str = ""
    note: str = ""
    merged: date | None = None
    pull: int = 0
    seen: str = ""

    def known_to(self, version: Version) -> bool:
        """Whether this vLLM knows the name."""
        return (self.since is None or version >= self.since) and (self.gone is None or version < self.gone)

    @property
    def source(self) -> str:
        """Where it stands in vLLM's history."""
        return f"vLLM #{self.pull}, {self.merged}" if self.pull else self.seen


@dataclass(frozen=True)
class Table:
    """vllm_versions.yaml."""

    planned: str
    newest: str
    images: dict[str, str]
    serves_by_itself: tuple[str, ...]
    env: dict[str, Row]
    flags: dict[str, Row]
    unread: dict[str, str]


@cache
def table() -> Table:
    """Return the names that vLLM's releases added and removed."""
    return load(Path(__file__).with_suffix(".yaml"), Table)


def parse(version: str) -> Version:
    """A vLLM version without its pre-release and build parts. Raises Refused for what is none."""
    try:
        return Version(Version(version).base_version)
    except InvalidVersion as error:
        raise Refused(f"'{version}' is not a vLLM version", fix="--vllm 0.32.0, for example") from error


def image_for(
    platform: str, version: str, reference: str = "", capabilities: Capabilities | None = None
) -> Image:
    """The image of a platform and version, or the given one; who serves by itself is known by name."""
    version = (capabilities.vllm_version if capabilities else "") or version
    assumed = bool(reference) and not version
    version = version or table().planned
    parse(version)
    images = table().images
    reference = reference or images.get(platform, images["cuda"]).replace("{version}", version)
    parsed = ImageReference.parse(reference)
    own = parsed.registry == DOCKER_HUB and parsed.repository in table().serves_by_itself
    return Image(reference, version, ("vllm", "serve") if own else (), capabilities, assumed)


@dataclass(frozen=True)
class Change:
    """What becomes of one word: options and variables in its place, and why. Nothing in `why`: it stays."""

    args: tuple[Arg, ...] = ()
    env: tuple[Setting, ...] = ()
    why: str = ""


def adapt(draft: Draft, image: Image) -> Draft:
    """The same command in the words of the image's vLLM. Raises Refused for a word of the user's it lacks."""
    version = parse(image.vllm_version)
    changes = [_setting(setting, version, image.capabilities) for setting in draft.env]
    changes += [_option(arg, version, image.capabilities) for arg in draft.args]
    args = [arg for change in changes for arg in change.args]
    env = [setting for change in changes for setting in change.env]
    unread = [f"{s.name}: {table().unread[s.name]}" for s in env if s.name in table().unread]
    changed = replace(draft, args=_sorted(args, draft.args), env=tuple(env))
    return changed.corrected(*(change.why for change in changes if change.why)).add(notes=unread)


def _sorted(args: Iterable[Arg], before: tuple[Arg, ...]) -> tuple[Arg, ...]:
    """Successors of env names go to the end; a flag that the recipe also gives wins over them."""
    found = list(args)
    old = [arg for arg in found if arg in before]
    keys = {arg.key for arg in old}
    return (*old, *(arg for arg in found if arg not in before and arg.key not in keys))


def _setting(setting: Setting, version: Version, capabilities: Capabilities | None) -> Change:
    row = table().env.get(setting.name)
    if _env_known(setting.name, row, version, capabilities):
        return Change(env=(setting,))
    why = _unknown(setting.name, row, version)
    if setting.source == USER:
        fix = (
            f"--set {row.flag}={setting.value}" if row and row.flag else (row.note if row else "leave it out")
        )
        raise Refused(why, fix=fix)
    if row and row.flag:
        arg = Arg(row.flag, (setting.value,), row.source, f"took the place of {setting.name}")
        return Change(args=(arg,), why=f"{why}: {row.flag} {setting.value} takes its place")
    return Change(why=_left_out(why, row))


def _option(arg: Arg, version: Version, capabilities: Capabilities | None) -> Change:
    if capabilities:
        _check_parser(arg, capabilities)
    row = table().flags.get(arg.key)
    if _flag_known(arg, row, version, capabilities):
        return Change(args=(arg,))
    why = _unknown(arg.flag, row, version)
    if arg.source == USER:
        fix = f"--env {row.env}={arg.value}" if row and row.env else "leave it out, or a newer --image"
        raise Refused(why, fix=fix)
    if row and row.env:
        moved = Setting(row.env, arg.value, row.source, f"came before {arg.flag}")
        return Change(env=(moved,), why=f"{why}: {row.env}={arg.value} takes its place")
    return Change(why=_left_out(why, row))


def _left_out(why: str, row: Row | None) -> str:
    return f"{why}: left out" + (f"; {row.note}" if row and row.note else "")


def _unknown(name: str, row: Row | None, version: Version) -> str:
    return f"vLLM {version} does not know {name}" + (f" ({row.source})" if row else "")


def _env_known(name: str, row: Row | None, version: Version, capabilities: Capabilities | None) -> bool:
    if capabilities and capabilities.env and name.startswith("VLLM_"):
        return name in capabilities.env
    return row is None or row.known_to(version)


def _flag_known(arg: Arg, row: Row | None, version: Version, capabilities: Capabilities | None) -> bool:
    if capabilities and capabilities.flags:
        head = arg.key.partition(".")[0]
        return not capabilities.flags.isdisjoint((arg.flag, head, head.replace("--no-", "--", 1)))
    return row is None or row.known_to(version)


def _check_parser(arg: Arg, capabilities: Capabilities) -> None:
    """Raises Refused for a parser that the image's vLLM does not have."""
    parsers = {
        "--tool-call-parser": capabilities.tool_parsers,
        "--reasoning-parser": capabilities.reasoning_parsers,
    }
    known = parsers.get(arg.key)
    if known and arg.value not in known:
        raise choice(arg.key.removeprefix("--").replace("-", " "), arg.value, sorted(known))
