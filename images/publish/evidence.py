"""Read the record for which an image is promoted: a benchmark, or a complete acceptance test, of the same image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Refused
from launch.bench.records import UnreadableRecord, read_file

SCHEMA = 1  # of the report of `invoke accept`
_TEST_AGAIN = "run invoke accept --output FILE, or invoke bench, with this image"


def require_good_run(record: Path, image: str, image_id: str) -> None:
    """Raise Refused unless the record shows a good run of the image. `image` is its name."""
    run = _acceptance_test(record) or _benchmark(record)
    if run.tested not in (image, image_id):
        what = f"{record} is {run.kind} of {run.name or run.tested}"
        why = f"the image to promote is {image} ({image_id[:19]}), and it tested {run.tested[:80]}"
        raise Refused(what, why=why, fix=_TEST_AGAIN)
    if run.fault:
        raise Refused(f"{record}: {run.fault}", fix=_TEST_AGAIN)


@dataclass(frozen=True)
class _Run:
    """What was tested, by its image ID if that is known, and what went wrong; "" if nothing."""

    kind: str
    tested: str
    name: str
    fault: str


def _benchmark(record: Path) -> _Run:
    """Return the newest run in a file of records. Raises Refused if it has none."""
    try:
        newest = read_file(record)[-1]
    except UnreadableRecord as error:
        fix = "run invoke bench or invoke accept, which write one"
        raise Refused(
            f"{record} is not a benchmark result or an acceptance report",
            why=error.why or error.what,
            fix=fix,
        ) from None
    server, found = newest.server, newest.validity
    fault = "; ".join(remark.sentence for remark in found.remarks if remark.outcome == "void")
    return _Run(
        "a benchmark",
        server.image_id or server.image,
        server.image,
        f"the run is void: {fault}" if found.outcome == "void" else "",
    )


def _acceptance_test(record: Path) -> _Run | None:
    """Return the run in an acceptance report; None for a file of another kind."""
    try:
        data = json.loads(record.read_text())
        facts = data["slipway"]
        tested = str(facts.get("image_id") or facts.get("image") or facts["url"])
        return _Run("an acceptance test", tested, str(facts.get("image") or ""), _acceptance(data))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _acceptance(data: Any) -> str:
    """Return what is wrong with an acceptance test; "" if nothing."""
    found = data["acceptance"]
    if data["schema"] != SCHEMA:
        return f"the report has schema {data['schema']}, not {SCHEMA}"
    if found["outcome"] != "pass" or found["failed"] or not found["passed"]:
        failed = [item["name"] for item in found["items"] if item["outcome"] == "fail"]
        return f"{found['passed']} items passed, {found['failed']} failed: {', '.join(failed)}"
    return "the test was not complete (--quick or --only)" if found["quick"] else ""
