"""What the vLLM of an image accepts: as the image itself tells, else by the vocabulary of its version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.version import Version

from launch.planning.near import hint
from launch.planning.vllm_versions import is_vllms_own
from launch.spec.capabilities import Capabilities
from launch.spec.inputs import Image
from launch.spec.vllm_args import Arg
from launch.spec.vocabulary import VllmOption, Vocabulary, union, vocabulary

OPTIMIZATION = "-O"  # -O3, -O 3 and -O=3 are --optimization-level 3 (vllm/utils/argparse_utils.py)


@dataclass(frozen=True)
class Known:
    """`exact`: the words are those of this version; else the words of all versions, because its own are not known."""

    version: Version
    words: Vocabulary
    exact: bool
    capabilities: Capabilities | None = None
    plugins: bool = False  # the image may have plugins of others, which register words

    @property
    def checks_names(self) -> bool:
        """Return whether a name that is not found is certainly not accepted."""
        return self.exact or bool(self.capabilities and self.capabilities.flags)

    def option(self, arg: Arg) -> VllmOption | None:
        """Return the option of an argument, without the key of a dotted one."""
        return self.words.option(head(arg))

    def has_option(self, arg: Arg) -> bool:
        """Return whether the image, else the vocabulary, has this option."""
        name = head(arg)
        if self.capabilities and self.capabilities.flags:
            spelled = (arg.flag, name, name.replace("--no-", "--", 1))
            return not self.capabilities.flags.isdisjoint(spelled)
        return name in self.words.names

    def has_env(self, name: str) -> bool:
        """Return whether vLLM reads a variable; names of other programs are not known to it."""
        if not name.startswith("VLLM_"):
            return True
        if self.capabilities and self.capabilities.env:
            return name in self.capabilities.env
        return name in self.words.env

    def parsers(self, kind: str) -> frozenset[str]:
        """Return the names of the `tool` or `reasoning` parsers; empty if they are not known."""
        if self.capabilities and (found := getattr(self.capabilities, f"{kind}_parsers")):
            return frozenset(found)
        return frozenset(getattr(self.words, f"{kind}_parsers")) if self.exact else frozenset()


def known_names(image: Image, version: Version) -> Known:
    """Return what is known of an image's vLLM. A guessed version has no vocabulary of its own."""
    own = None if image.assumed else vocabulary(str(version))
    plugins = not (is_vllms_own(image.reference) or image.entry)
    return Known(version, own or union(), own is not None, image.capabilities, plugins)


def head(arg: Arg) -> str:
    """Return the option of an argument: of `--compilation-config.mode` the part before the dot."""
    return arg.key.partition(".")[0]


def written_out(arg: Arg, words: Vocabulary) -> Arg:
    """Return an argument with the name that vLLM's parser completes it to, and -O as --optimization-level."""
    if arg.flag.startswith(OPTIMIZATION) and not arg.flag.startswith("--"):
        level = arg.flag.removeprefix(OPTIMIZATION)
        return Arg("--optimization-level", (*([level] if level else []), *arg.values), arg.source, arg.why)
    name, dot, key = arg.key.partition(".")
    if name in words.names or not (full := words.completed(name)):
        return arg
    return Arg(full + dot + key, arg.values, arg.source, arg.why, arg.joined)


def in_versions(versions: Iterable[str]) -> str:
    """Return in which of the known versions a name exists, "" if in none."""
    found = tuple(versions)
    if not found:
        return ""
    return f"vLLM {found[0]} has it" if len(found) == 1 else f"vLLM {found[0]} to {found[-1]} have it"


def similar_option(arg: Arg, words: Vocabulary) -> str:
    """Return a hint at the option that was meant."""
    return hint(head(arg), (name for name in words.names if name.startswith("--")))
