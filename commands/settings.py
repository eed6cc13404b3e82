"""Settings: values of options from a configuration file and from the environment.

`slipway` reads ./slipway.yaml (settings stand at the top level), else ./invoke.yaml (below `slipway:`). `invoke` itself
reads the invoke.yaml of the clone. The environment counts above files (INVOKE_SLIPWAY_NAME and SLIPWAY_NAME), and
options count above the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from errors import Refused, choice
from launch.checked_data.data_file import parse_yaml

PREFIXES = ("INVOKE_SLIPWAY_", "SLIPWAY_")
BELOW = "slipway"  # the key of invoke.yaml that settings stand below
OF_INVOKE = ("run", "tasks")  # keys that invoke reads


def read_folder(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read the configuration file in a folder. Raises Refused if it is not valid."""
    found = [path for name in ("slipway.yaml", "invoke.yaml") if (path := folder / name).is_file()]
    return read_file(found[0], names) if found else {}


def read_file(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read a configuration file. Raises Refused if it is not valid or has an unknown key."""
    import yaml

    try:
        data = parse_yaml(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refused(f"cannot read '{path.name}'", why=str(error)) from None
    of_invoke = path.name == "invoke.yaml"
    found = _mapping(data, path.name, f"{BELOW}:\n    port: 8001" if of_invoke else "port: 8001")
    if of_invoke:
        for key in OF_INVOKE:
            _mapping(found.get(key, {}), f"{path.name}: {key}", f"{key}:\n    NAME: VALUE")
        found = _mapping(found.get(BELOW, {}), f"{path.name}: {BELOW}", f"{BELOW}:\n    port: 8001")
    known = tuple(names)
    for key in found:
        if key not in known:
            what = choice("setting", str(key), known).what
            raise Refused(f"{path.name}: {what}", fix=f"choose from {', '.join(known)}")
        if isinstance(found[key], Mapping | list):
            raise Refused(f"{path.name}: {key} must be one value", fix=f"{key}: VALUE")
        if isinstance(found[key], float):  # no setting is a fraction, but a version looks like one
            why = "YAML reads 0.30 as the number 0.3"
            raise Refused(f"{path.name}: put the value of {key} in quotes", why=why, fix=f'{key}: "0.30.0"')
    return dict(found)


def read_environment(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Read the settings in environment variables; an empty variable is not set."""
    keys = {f"{prefix}{name.upper()}": name for prefix in PREFIXES for name in names}
    return {name: environ[key] for key, name in keys.items() if environ.get(key)}


def _mapping(data: Any, where: str, example: str) -> Mapping[str, Any]:
    if data is None and ":" not in where:
        return {}  # an empty file
    if not isinstance(data, Mapping):
        raise Refused(f"{where} must hold names and values", fix=example)
    return data
