"""Read the record for which an image is promoted: a benchmark, or a complete acceptance test, of the same image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from errors import Refused

SCHEMA = 1  # of the report of `invoke accept`
_TEST_AGAIN = "run invoke accept --output FILE, or invoke bench, with this image"


def require_good_run(record: Path, image: str, image_id: str) -> None:
    """Raise Refused unless the record shows a good run of the image. `image` is its name."""
    try:
        data = json.loads(record.read_text())
        facts = data["slipway"]
        fault = _acceptance(data) if "acceptance" in data else _benchmark(data["result"])
        tested = str(facts.get("image_id") or facts.get("image") or facts["url"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{record} is not a benchmark result or an acceptance report"
        raise Refused(
            what, why=str(error), fix="run invoke bench or invoke accept, which write one"
        ) from None
    kind = "an acceptance test" if "acceptance" in data else "a benchmark"
    if tested not in (image, image_id):
        what = f"{record} is {kind} of {facts.get('image') or tested}"
        why = f"the image to promote is {image} ({image_id[:19]}), and it tested {tested[:80]}"
        raise Refused(what, why=why, fix=_TEST_AGAIN)
    if fault:
        raise Refused(f"{record}: {fault}", fix=_TEST_AGAIN)


def _benchmark(result: Any) -> str:
    """Return what is wrong with a benchmark; "" if nothing."""
    completed, failed = int(result["completed"]), int(result.get("failed") or 0)
    return f"{completed} requests served, {failed} failed" if failed or not completed else ""


def _acceptance(data: Any) -> str:
    """Return what is wrong with an acceptance test; "" if nothing."""
    found = data["acceptance"]
    if data["schema"] != SCHEMA:
        return f"the report has schema {data['schema']}, not {SCHEMA}"
    if found["outcome"] != "pass" or found["failed"] or not found["passed"]:
        failed = [item["name"] for item in found["items"] if item["outcome"] == "fail"]
        return f"{found['passed']} items passed, {found['failed']} failed: {', '.join(failed)}"
    return "the test was not complete (--quick or --only)" if found["quick"] else ""
