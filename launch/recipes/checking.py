"""What the schema of recipes is made of: words of a command line, environments, mappings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _word(value: Any) -> Any:
    """A number without quotes is a word of a command line all the same; true and null are not."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _filled(value: Any) -> Any:
    """A key with nothing behind it (`features:`) counts as an empty mapping."""
    return {} if value is None else value


def _listed(value: Any) -> Any:
    return () if value is None else value


Filled = BeforeValidator(_filled)
Word = Annotated[str, BeforeValidator(_word)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Env = Annotated[dict[str, Word], Filled]
Mapping = Annotated[dict[str, Any], Filled]
# A number for every GPU, or one by GPU id, generation, brand or `default`.
PerHardware = int | dict[str, int] | None


class Part(BaseModel):
    """A mapping of the schema; keys that it does not name are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, strict=False)


class FeatureArgs(Part):
    """The options of a feature, or what replaces them on some hardware (None: not replaced)."""

    args: tuple[Word, ...] | None = None
    env: dict[str, Word] | None = None
