"""Write YAML for people: no aliases, and texts of several lines as blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def dump(documents: Iterable[Any]) -> str:
    """Return YAML documents."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """A dumper that writes a repeated value again, and keeps the lines of a text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if value.endswith("\n") and "\n" in value[:-1] else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=100))
