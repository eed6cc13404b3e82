"""Checks of values in the annotations of a dataclass. pydantic runs them, and is imported only when it does.

`Annotated[str, Pattern(r"^a+$")]` costs nothing at import, as pydantic's own `Field` and validators would (0.08 s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Before:
    """Change a value before it is checked."""

    change: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.change, handler(source))


@dataclass(frozen=True)
class Pattern:
    """A text must match a regular expression."""

    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.str_schema(pattern=self.pattern)


@dataclass(frozen=True)
class NotEmpty:
    """A mapping must have a key."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        found: Any = handler(source)
        schema: CoreSchema = {**found, "min_length": 1}
        return schema


@dataclass(frozen=True)
class Parsed:
    """A value is what a function makes of it; ValueError says that it is wrong."""

    parse: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.parse)
