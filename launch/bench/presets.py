"""Presets of loads: the commands of presets.yaml and of recipes, scaled, with what they ask for as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from errors import Failed, choice
from launch.access.profiles import HUB
from launch.bench.record import Load, Sampling
from launch.checked_data.data_file import load

PRESETS = Path(__file__).with_name("presets.yaml")
SMALL = 0.1  # what `--scale small` means
PER_SLOT = 4  # requests for each request in flight, at least: else the start and the end are most of the run
RANDOM_IGNORES_EOS = Version("0.12")  # from it on, with random data (vllm#28227)
SERVER_TEMPERATURE = Version("0.15")  # from it on, no temperature is sent by default; before, 0 (vllm#32723)
_SAMPLING = (
    *("--top-p", "--top-k", "--min-p", "--frequency-penalty", "--presence-penalty"),
    *("--repetition-penalty", "--extra-body", "--logprobs"),
)
# The options that hold a length, by their full names; each dataset has its own.
_INPUT = ("--random-input-len", "--prefix-repetition-suffix-len", "--input-len")
_OUTPUT = ("--random-output-len", "--prefix-repetition-output-len", "--output-len")
_PREFIX = ("--prefix-repetition-prefix-len", "--random-prefix-len")


@dataclass(frozen=True)
class Preset:
    """One row of presets.yaml, or of `x-slipway.bench` in a recipe."""

    source: str
    argv: tuple[str, ...]
    requests: str
    lengths: tuple[str, ...] = ()
    concurrency: str = ""
    groups: str = ""
    fresh: str = ""
    spellings: dict[str, str] = field(default_factory=dict)

    def scaled(self, scale: float) -> tuple[str, ...]:
        """Return the command with lengths, requests and concurrency multiplied; numbers stay 1 or more.

        Every request in flight keeps PER_SLOT requests, and every group has as many requests as any other.
        """
        names = (*self.lengths, self.requests, self.concurrency, self.groups)
        numbers = {name: self._times(name, scale) for name in names if name}
        if scale < 1:
            slots, group = numbers.get(self.concurrency, 1), numbers.get(self.groups, 1)
            fewest = max(numbers[self.requests], PER_SLOT * slots)
            numbers[self.requests] = ceil(fewest / group) * group
        argv = list(self.argv)
        for option, number in numbers.items():
            argv[argv.index(option) + 1] = str(number)
        return tuple(argv)

    @property
    def options(self) -> tuple[str, ...]:
        """The options whose numbers this preset names."""
        return (*self.lengths, self.requests, *filter(None, (self.concurrency, self.groups, self.fresh)))

    def number(self, option: str) -> int:
        """Return the number that the command has for an option. Raises ValueError."""
        return int(self.argv[self.argv.index(option) + 1])

    def _times(self, option: str, scale: float) -> int:
        return max(1, round(self.number(option) * scale))

    def spelled_out(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command with the full names of its options."""
        return tuple(self.spellings.get(word, word) for word in argv)


def load_presets(path: Path = PRESETS) -> dict[str, Preset]:
    """Read the built-in presets by name."""
    return load(path, dict[str, Preset])


def presets(own: Mapping[str, Any] | None = None, recipe: str = "") -> dict[str, Preset]:
    """Return the built-in presets and those of a recipe, which replace built-in ones. Raises Failed."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    adapter = TypeAdapter(dict[str, Preset], config=ConfigDict(extra="forbid"))
    try:
        added = adapter.validate_python(dict(own or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, *place = map(str, first["loc"])
        raise _bad_preset(name, recipe, f"{'.'.join(place)}: {first['msg']}") from None
    for name, preset in added.items():
        if why := _fault(name, preset):
            raise _bad_preset(name, recipe, why)
    return {**load_presets(), **added}


def _bad_preset(name: str, recipe: str, why: str) -> Failed:
    return Failed(f"the preset '{name}' of the recipe {recipe} is not valid", why=why, fix="invoke recipes")


def _fault(name: str, preset: Preset) -> str:
    """Return what is wrong with the preset of a recipe; "" if nothing."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        return "a name has lower-case letters, digits and '-'"
    if preset.argv[:3] != ("vllm", "bench", "serve"):
        return "argv must begin with vllm bench serve"
    values = option_values(preset.argv)
    missing = [option for option in preset.options if not values.get(option, "").isdecimal()]
    return f"argv must contain {missing[0]} with an integer" if missing else ""


def preset_of(name: str, known: Mapping[str, Preset]) -> Preset:
    """Return a preset by its name. Raises Refused for an unknown one."""
    if name not in known:
        raise choice("preset", name, sorted(known))
    return known[name]


def command(
    preset: Preset, model: str, scale: float = 1.0, commit: str = "", weights: str = ""
) -> tuple[str, ...]:
    """Return a preset's command for a model.

    `vllm bench serve` has no option for a revision, so the tokenizer of the served commit is named by its folder.
    `weights` is a folder of the container that is served instead of a model of the cache.
    """
    argv = tuple(word.replace("{model}", model) for word in preset.scaled(scale))
    snapshot = f"{HUB}/models--{model.replace('/', '--')}/snapshots/{commit}" if commit else ""
    tokenizer = weights or snapshot
    return (*argv, "--tokenizer", tokenizer) if tokenizer else argv


def load_of(preset: Preset, argv: tuple[str, ...]) -> Load:
    """Return the load that a command asks for."""
    values = option_values(preset.spelled_out(argv))
    rate = float(values.get("--request-rate", "inf"))
    own = option_values(argv)
    return Load(
        dataset=values.get("--dataset-name", ""),
        backend=values.get("--backend", "openai"),
        endpoint=values.get("--endpoint", "/v1/completions"),
        requests=int(own[preset.requests]),
        request_rate=None if rate == float("inf") else rate,
        input_len=_first(values, _INPUT),
        output_len=_first(values, _OUTPUT),
        prefix_len=_first(values, _PREFIX),
        prefixes=_first(values, ("--prefix-repetition-num-prefixes",)),
        concurrency=_first(values, ("--max-concurrency",)),
    )


def _first(values: Mapping[str, str], options: tuple[str, ...]) -> int | None:
    return next((int(values[option]) for option in options if option in values), None)


def sampling_of(argv: tuple[str, ...], vllm: str = "") -> Sampling:
    """Return how a command chooses tokens. `vllm` is the version of its client; "" stands for a current one."""
    values, version = option_values(argv), _version(vllm)
    default = 0.0 if version < SERVER_TEMPERATURE else None
    endless = values.get("--dataset-name") == "random" and version >= RANDOM_IGNORES_EOS
    return Sampling(
        temperature=float(values["--temperature"]) if "--temperature" in values else default,
        ignore_eos="--ignore-eos" in argv or endless,
        options={option.removeprefix("--"): values[option] for option in _SAMPLING if option in values},
    )


def _version(vllm: str) -> Version:
    try:
        return Version(Version(vllm).base_version)
    except InvalidVersion:
        return SERVER_TEMPERATURE


def fresh_tokens(preset: Preset, argv: tuple[str, ...]) -> int | None:
    """Return the prompt tokens that no other request shares; None if the preset does not tell."""
    return int(option_values(argv)[preset.fresh]) if preset.fresh else None


def option_values(argv: tuple[str, ...]) -> dict[str, str]:
    """Return the values of the options of a command that have one."""
    pairs = pairwise(argv)
    return {name: value for name, value in pairs if name.startswith("--") and not value.startswith("--")}


def warmup_requests(load: Load) -> int:
    """Return how many requests warm a server up: two for each request in flight."""
    return 2 * load.concurrency if load.concurrency else load.requests


def percentile_needs(percent: float) -> int:
    """Return from how many requests a percentile means something: three values must lie above it."""
    return ceil(round(3 / (1 - percent / 100), 6))
