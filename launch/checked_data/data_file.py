"""Read the YAML tables that are part of Slipway, checked against a type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from errors import Failed
from launch.checked_data.kept_file import kept

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")
LONGEST_VALUE = 60  # characters of a value in an error


def load(path: Path, kind: type[T]) -> T:
    """Return the content of a YAML file as `kind`: a dataclass, a model, or a dict or tuple of them.

    Raises Failed with file, row, field and the expected type. A key that the type does not have is an error.
    """
    return kept(path, str(kind), _module(kind), lambda: _checked(path, kind))


def _module(kind: Any) -> str:
    """Return the module of the dataclass in a type."""
    parts = [part for part in get_args(kind) if part is not ...]
    return _module(parts[-1]) if parts else str(kind.__module__)


def _checked(path: Path, kind: type[T]) -> T:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    # A dict around the value, because a dataclass takes no config by itself. The key, the name of the file,
    # becomes the first part of the location in an error.
    adapter = TypeAdapter(dict[str, kind], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
    try:
        return adapter.validate_python({path.name: parse_yaml(path.read_text(encoding="utf-8"))})[path.name]
    except ValidationError as error:
        raise Failed(_first_error(error), why=f"'{path}' is damaged", fix="reinstall Slipway") from error
    except OSError as error:
        raise Failed(f"cannot read '{path}'", why=error.strerror or str(error)) from error


def parse_yaml(text: str) -> Any:
    """Return the values of a YAML text. Raises yaml.YAMLError."""
    import yaml

    from launch.checked_data import yaml_limits

    # The C loader reads the CDI spec of eight GPUs, some thousand lines, about ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    yaml_limits.check_text(text, loader)
    values = yaml.load(text, Loader=loader)
    yaml_limits.check_values(text, values)
    return values


def _first_error(error: ValidationError) -> str:
    """Return the first error of a validation on one line: file, row and field, what was expected and found."""
    first = error.errors(include_url=False)[0]
    file, *keys = map(str, first["loc"])
    value = repr(first["input"])
    shown = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."
    place = f"{file}: {'.'.join(keys)}" if keys else file
    return f"{place}: {first['msg']}, found {shown}"
