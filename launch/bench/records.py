"""Store records of runs in the results folder and read them back: one file for each run, one line in each file.

A reader accepts any number of lines in a file, so that files can be concatenated.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.atomic_write import new_file, write_text
from launch.bench.record import SCHEMA, Load, Record, Sampling, json_line
from launch.paths import results_dir

SUFFIX = ".bench.jsonl"
VALUES = ".requests.json.gz"
_BENCH_AGAIN = "invoke bench"
_log = logging.getLogger(__name__)


class UnreadableRecord(Refused):
    """A file does not hold a record that this Slipway can read."""


def file_of(record: Record, folder: Path) -> Path:
    """Return the file of a record: time, preset and run id make its name unique and its order that of the runs."""
    time = re.sub(r"[^0-9TZ]", "", record.time.split(".")[0].split("+")[0])
    preset = re.sub(r"[^A-Za-z0-9-]", "-", record.preset)
    return folder / f"{time}-{preset}-{record.id}{SUFFIX}"


def write(record: Record, folder: Path, requests: bytes = b"") -> Path:
    """Write a record, or replace the one of the same run; return the file. Raises Failed.

    `requests` are the compressed values of each request; they are written first, next to the record.
    """
    path = file_of(record, folder)
    try:
        if requests:
            values = path.with_name(path.name.removesuffix(SUFFIX) + VALUES)
            with new_file(values) as stream:
                stream.write(requests)
            record = record.model_copy(update={"requests_file": values.name})
        write_text(path, json_line(record) + "\n")
    except OSError as error:
        raise Failed(
            f"cannot write '{path}'",
            why=error.strerror or str(error),
            fix="--results FOLDER with another folder",
        ) from None
    return path


def read_all(folder: Path | None = None) -> list[Record]:
    """Return the records of a folder (default: the results folder), oldest first. Files of others are left out.

    A file whose records have a newer schema raises UnreadableRecord; a damaged line is left out.
    """
    folder = folder or results_dir()
    paths = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    return [record for path in paths for record in read_file(path, strict=False)]


def read_file(path: Path, strict: bool = True) -> list[Record]:
    """Return the records of a file. Raises UnreadableRecord if it cannot be read or, if `strict`, has no record.

    The last line may be cut: a host that lost its power or its disk space leaves such lines in concatenated files.
    """
    # Not splitlines: a text of a record may contain other line ends, for example U+2028.
    lines = [line for line in _text(path).split("\n") if line.strip()]
    records = list(_records(path, lines, strict))
    if strict and not records:
        raise _no_record(path, "it is empty" if not lines else "its only line is cut")
    return records


def workload_key(record: Record) -> dict[str, str]:
    """Return what two runs must have in common to be compared: the model, the load and the sampling.

    What is compared (image, layout, hardware, weights) is not part of it.
    """
    return workload_of(record.server.model, record.preset, record.load, record.sampling)


def workload_of(model: str, preset: str, load: Load, sampling: Sampling) -> dict[str, str]:
    """Return the same for a run that has not begun."""
    sent = load.model_dump(exclude={"warmup_requests"})
    chosen = sampling.model_dump(exclude={"options"}) | sampling.options
    values = {"model": model, "preset": preset, **sent, **chosen}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableRecord(
            f"cannot read '{path}'", why=error.strerror or str(error), fix=_BENCH_AGAIN
        ) from None


def _records(path: Path, lines: list[str], strict: bool) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        try:
            yield _record(line)
        except _NewerSchema as error:
            why = f"line {number} has schema {error}; this Slipway reads schema {SCHEMA}"
            raise UnreadableRecord(
                f"'{path}' is a record of a newer Slipway", why=why, fix="upgrade Slipway"
            ) from None
        except ValueError as error:
            if strict and number < len(lines):
                raise _no_record(path, f"line {number}: {_reason(error)}") from None
            if strict and len(lines) == 1 and _is_json(line):
                raise _no_record(path, _reason(error)) from None
            _log.warning("'%s': line %d is not a record and is left out: %s", path, number, _reason(error))


class _NewerSchema(Exception):
    """A record has a schema that this Slipway does not read."""


def _record(line: str) -> Record:
    """Parse one line. Raises ValueError, or _NewerSchema."""
    data = _parse(line)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    version = data.get("schema")
    if isinstance(version, int) and version > SCHEMA:
        raise _NewerSchema(str(version))
    return Record.model_validate(data)


def _is_json(line: str) -> bool:
    try:
        _parse(line)
    except ValueError:
        return False
    return True


def _parse(line: str) -> Any:
    """Return the JSON value of a line. Raises ValueError."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _reason(error: ValueError) -> str:
    """Return an error of JSON or of pydantic on one line."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{_place(first['loc'])}: {first['msg']}"


def _place(location: Iterable[str | int]) -> str:
    return ".".join(map(str, location))


def _no_record(path: Path, why: str) -> UnreadableRecord:
    return UnreadableRecord(f"'{path}' is not a record of `invoke bench`", why=why, fix=_BENCH_AGAIN)
