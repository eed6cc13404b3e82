"""Read and validate `lock.yaml`, which pins every input of every image. A build resolves nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from errors import Refused
from images.field_checks import first_error
from images.lock import validation
from images.lock.schema import Lock
from launch.data_file import parse_yaml

LOCK = Path(__file__).parents[1] / "lock.yaml"


def load(path: Path = LOCK) -> Lock:
    """Return the validated lock. Raises Refused with the file, the key and what it must be."""
    lock = parse(_data(path), path)
    validation.check(lock, path)
    return lock


def _data(path: Path) -> Any:
    import yaml

    try:
        return parse_yaml(path.read_text())
    except FileNotFoundError:
        fix = "git checkout -- images/lock.yaml" if path == LOCK else "pass an existing file to --lock"
        raise Refused(f"{path} is missing", fix=fix) from None
    except OSError as error:
        raise Refused(f"cannot read {path}", why=error.strerror or str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not valid YAML", why=" ".join(str(error).split())[:300]) from None


def parse(data: Any, path: Path = LOCK) -> Lock:
    """Return the lock that plain data describes. Raises Refused if a key or a value has the wrong form."""
    try:
        return Lock.model_validate(data)
    except ValidationError as error:
        raise Refused(f"{path} is not a valid lock", why=_explain(error)) from None


def _explain(error: ValidationError) -> str:
    message = first_error(error)
    if message.endswith("base.digest: is missing"):
        return f"{message}; a tag alone is not a pin, because upstream moves and deletes tags"
    return message
