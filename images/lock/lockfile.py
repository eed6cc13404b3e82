"""Read and validate `lock.yaml`, which pins every input of every image. A build resolves nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Refused
from images.field_checks import first_error
from images.lock.schema import Lock, LockedModel
from launch.checked_data.data_file import parse_yaml
from launch.checked_data.kept_file import kept

if TYPE_CHECKING:
    from pydantic import ValidationError

LOCK = Path(__file__).parents[1] / "lock.yaml"


def load(path: Path = LOCK) -> Lock:
    """Return the validated lock. Raises Refused with the file, the key and what it must be."""
    from images.lock import validation

    lock = read(path)
    validation.check(lock, path)
    return lock


def read(path: Path = LOCK) -> Lock:
    """Return the lock without the rules that compare its keys, files and dates. Raises Refused as `load` does."""
    if not path.is_file():
        return parse(_data(path), path)
    return kept(path, "lock", Lock.__module__, lambda: parse(_data(path), path))


def load_models(path: Path = LOCK) -> Mapping[str, LockedModel]:
    """Return the models of the lock, without the checks of its images. Raises Refused as `load` does."""
    return read(path).models


def refuse_installed(path: Path) -> None:
    """Raise Refused if the lock is part of an installed package, which the next update replaces."""
    if path.resolve() == LOCK and not _is_clone():
        raise Refused(
            "the lock of an installed Slipway is not changed",
            why=f"'{path}' is part of the package; an update replaces it",
            fix=f"cp -r {LOCK.parent} images && invoke pin --lock images/lock.yaml",
        )


def _is_clone() -> bool:
    return (LOCK.parents[1] / "pyproject.toml").exists()


def _data(path: Path) -> Any:
    import yaml

    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe may never end
            raise Refused(f"cannot read {path}", why="it is not a regular file")
        return parse_yaml(path.read_text())
    except FileNotFoundError:
        own = "git checkout -- images/lock.yaml" if _is_clone() else "reinstall Slipway"
        fix = own if path == LOCK else "pass an existing file to --lock"
        raise Refused(f"{path} is missing", fix=fix) from None
    except OSError as error:
        raise Refused(f"cannot read {path}", why=error.strerror or str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not valid YAML", why=" ".join(str(error).split())[:300]) from None


def parse(data: Any, path: Path = LOCK) -> Lock:
    """Return the lock that plain data describes. Raises Refused if a key or a value has the wrong form."""
    if isinstance(data, dict) and data.get("schema") == 1:
        raise Refused(
            f"{path} has schema 1",
            why="since schema 2 a platform has channels, and the first one is the default",
            fix="write `schema: 2`, and put the entry of each platform below `stable:`",
        )
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Lock).validate_python(data)
    except ValidationError as error:
        raise Refused(f"{path} is not a valid lock", why=_explain(error)) from None


def _explain(error: ValidationError) -> str:
    message = first_error(error)
    if message.endswith("base.digest: is missing"):
        return f"{message}; a tag alone is not a pin, because upstream moves and deletes tags"
    return message
