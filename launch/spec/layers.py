"""What the layers of a model keep for each request: read from config.json by the table in `layer_kinds.yaml`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import load

LARGEST = 1 << 40  # more than any dimension of a model; config.json is not trusted
MOST_LAYERS = 10_000
FULL, SLIDING, CHUNKED, STATE, BOTH, NONE = "full", "sliding", "chunked", "state", "both", "none"


@dataclass(frozen=True)
class LayerGroup:
    """Equal layers. Numbers of heads that are None are the model's own.

    `entry_bytes` is the size of one cached entry that tensor parallelism does not split; an entry covers `ratio`
    tokens. `state_bytes` is the state of one request before tensor parallelism divides it.
    """

    kind: str
    layers: int
    window: int = 0  # tokens
    kv_heads: int | None = None
    head_dim: int | None = None
    value_dim: int | None = None
    entry_bytes: float = 0.0
    ratio: int = 1
    state_bytes: float = 0.0


@dataclass(frozen=True)
class KeyRow:
    """One key of a config.json that says what the layers are, and how to read it."""

    key: str
    form: str
    source: str
    values: Mapping[str, str] = field(default_factory=dict)
    every: str = FULL
    others: str = STATE
    base: int = 0
    offset_key: str = ""


@dataclass(frozen=True)
class LayerKinds:
    """The content of layer_kinds.yaml."""

    keys: tuple[KeyRow, ...]
    both: tuple[str, ...]
    windowed: tuple[str, ...]
    hybrid: tuple[str, ...]


class UnknownLayers(ValueError):
    """The config describes layers that the table does not have."""


@cache
def table() -> LayerKinds:
    """Return the table."""
    return load(Path(__file__).with_name("layer_kinds.yaml"), LayerKinds)


def row_of(config: Mapping[str, Any]) -> KeyRow | None:
    """Return the row of the first key that the config has; None if no key says what the layers are."""
    return next((row for row in table().keys if _value(config, row.key) not in (None, "", [])), None)


def kinds(config: Mapping[str, Any], layers: int) -> list[str]:
    """Return the kind of each layer. Raises UnknownLayers with the key that cannot be read."""
    if layers > MOST_LAYERS:
        raise UnknownLayers(f"{layers:,} layers are more than any model has")
    row, family = row_of(config), str(config.get("model_type", ""))
    if family.removesuffix("_text") in table().both:
        return [BOTH] * layers
    if row is not None and not _is_window_switched_off(config, row):
        found = list(_by_row(config, row, layers))
        if len(found) < layers:
            raise UnknownLayers(f"{row.key} describes {len(found)} of {layers} layers")
        return found[:layers]
    hints = [key for key in table().hybrid if config.get(key)]
    if hints:
        raise UnknownLayers(
            f"{hints[0]} says that not all layers have a KV cache, but no known key says which"
        )
    windowed = family in table().windowed and _count(config, "sliding_window")
    return [SLIDING if windowed and config.get("use_sliding_window") is not False else FULL] * layers


def _value(config: Mapping[str, Any], key: str) -> Any:
    first, _, rest = key.partition(".")
    value = config.get(first)
    return value if not rest else value.get(rest) if isinstance(value, Mapping) else None


def _is_window_switched_off(config: Mapping[str, Any], row: KeyRow) -> bool:
    """Return whether the row is about windows only, and the config has none."""
    windows = {SLIDING, FULL} >= set(row.values.values() or (row.every, row.others))
    off = config.get("use_sliding_window") is False or not config.get("sliding_window")
    return windows and off and row.form == "interval"


def _by_row(config: Mapping[str, Any], row: KeyRow, layers: int) -> Iterator[str]:
    """Yield the kind of each layer that the row describes."""
    value = _value(config, row.key)
    if row.form in ("values", "letters") and isinstance(value, (str, Sequence)):
        for name in value:
            if str(name) not in row.values:
                raise UnknownLayers(f"{row.key} has '{str(name)[:40]}', which is not a known kind of layer")
            yield row.values[str(name)]
    elif row.form == "indices" and isinstance(value, Sequence):
        chosen = {index - row.base for index in value if isinstance(index, int)}
        yield from (row.every if i in chosen else row.others for i in range(layers))
    elif row.form == "interval" and type(value) is int and value > 0:
        rest = layers // value * value  # a last group that is shorter has attention only
        last = row.every if row.others == STATE else row.others
        yield from (
            last if i >= rest else row.every if (i + 1) % value == 0 else row.others for i in range(layers)
        )
    elif row.form == "period" and type(value) is int and value > 0:
        offset = _count(config, row.offset_key)
        yield from (row.every if i % value == offset else row.others for i in range(layers))
    elif row.form == "compressed":
        yield from [FULL] * layers
    else:
        raise UnknownLayers(f"{row.key} cannot be read")


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if type(value) is int and 0 < value <= LARGEST else 0


def group(found: Sequence[str]) -> Counter[str]:
    """Return the number of layers of each kind; a layer with both counts twice."""
    total = Counter(found)
    for kind in (FULL, STATE):
        total[kind] += total[BOTH]
    total.pop(BOTH, None)
    return +total
