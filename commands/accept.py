"""`invoke accept`: whether a running server answers correctly, item by item."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context
from invoke.exceptions import Exit

from commands.output import bar, emit, say, show
from commands.servers import running
from commands.shared_options import Format, Name
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.acceptance.client import Target
    from launch.acceptance.types import ItemResult

TIMEOUT = 300
MARKS = {"pass": "pass   ", "fail": "FAIL   ", "skipped": "skipped"}


@verb()
def accept(
    c: Context,
    name: Name = "",
    url: Annotated[
        str, Option("test the OpenAI-compatible server at this address instead", metavar="URL")
    ] = "",
    model: Annotated[
        str, Option("model to test at --url (default: the first that it lists)", metavar="MODEL")
    ] = "",
    key_file: Annotated[
        str,
        Option("file with the API key for --url (default: OPENAI_API_KEY)", metavar="PATH"),
    ] = "",
    only: Annotated[tuple[str, ...], Option("test only this item", metavar="ITEM")] = (),
    quick: Annotated[bool, Option("leave out slow items, and test one depth of the context")] = False,
    timeout: Annotated[
        int, Option("time limit of each item in seconds", metavar="SECONDS", minimum=1, maximum=86400)
    ] = TIMEOUT,
    output: Annotated[str, Option("also write the JSON report to this file", metavar="PATH")] = "",
    format: Format = "text",
) -> None:
    """Test whether a running server answers correctly.

    Each item passes, fails or is skipped; a failed item names the likely cause and the fix. The exit code is 0 if no
    item fails.

    invoke accept
    invoke accept slipway-minimax-m2 --output accept.json
    invoke accept --url http://127.0.0.1:8000 --only reasoning --only tool-trigger
    """
    from launch.acceptance.report import report
    from launch.acceptance.run import Runner, chosen

    items = chosen(only, quick)
    path = _writable(output)
    target, facts = _target(name, url, model, key_file)
    results = []
    with bar(f"accept {target.model}") as progress:
        for result in Runner(target, timeout, quick).results(items):
            results.append(result)
            progress.update(len(results), len(items), result.name)
            if format == "text":
                show(_line(result))
    data = report(facts, results, quick or bool(only), datetime.now(UTC).isoformat(timespec="seconds"))
    if path:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    _end(data, format, path)


def _target(name: str, url: str, model: str, key_file: str) -> tuple[Target, dict[str, Any]]:
    from launch.operations.acceptance_target import of_container, of_url

    if url and name:
        raise Refused("give a NAME or --url, not both", fix="invoke accept --url URL")
    if url:
        return of_url(url, model, key_file)
    if model or key_file:
        flag = "--model" if model else "--key-file"
        raise Refused(f"{flag} needs --url", fix=f"invoke accept --url URL {flag} VALUE")
    from launch.engine.client import connect

    return of_container(running(connect(), name))


def _writable(output: str) -> Path | None:
    """Return the path of the report. Raises Refused before the test if it cannot be written."""
    if not output:
        return None
    path = Path(output).expanduser()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise Refused(f"cannot write '{path}'", why="it is a folder, or its folder does not exist")
    return path


def _line(result: ItemResult) -> str:
    """Return the lines of one item: outcome, name and evidence, then cause and fix."""
    lines = [f"{MARKS[result.outcome]}  {result.name:<14}{result.evidence}"]
    if result.cause:
        lines += [f"         {'':<14}cause: {result.cause}", f"         {'':<14}fix: {result.fix}"]
    return "\n".join(lines)


def _end(data: dict[str, Any], format: str, path: Path | None) -> None:
    """Print the sum, and end with 1 if an item failed."""
    found = data["acceptance"]
    if format == "json":
        emit(data)
    else:
        for metric, value in found["metrics"].items():
            show(f"{metric:<34}{value:g}")
        show(f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped")
    if path:
        say(f"recorded in {path}")
    if found["failed"]:
        raise Exit(code=Failed.code)
