"""All checks together: a good host has no problem, and every problem has a reason and a fix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.doctor.report import count_by_severity, format_findings, run_checks
from tests.unit.launch.doctor.checks.test_engine import ENGINES
from tests.unit.launch.doctor.checks.test_hub import HUBS
from tests.unit.launch.doctor.hosts import (
    HUB,
    cpu,
    cuda,
    problems,
    rocm,
    with_image,
)  # fmt: skip


@pytest.mark.parametrize("host", [cpu, cuda, rocm])
def test_run_checks_finds_no_problem_on_a_good_host(host: Any) -> None:
    assert problems(host()) == []
    assert count_by_severity(run_checks(host()))["ok"] > 10


def test_format_findings_has_why_and_next_below_a_problem() -> None:
    lines = format_findings(run_checks(replace(cpu(), engine=replace(with_image(), builder=""))))
    at = next(number for number, line in enumerate(lines) if line.startswith("warning  buildkit"))
    assert lines[at + 1].strip().startswith("why:  ")
    assert lines[at + 2].strip() == "next: sudo apt-get install docker-buildx"


def test_every_problem_has_why_and_fix() -> None:
    hosts = [cpu(hub=replace(HUB, **change)) for change, *_ in HUBS]
    hosts += [replace(cpu(), engine=engine) for engine, *_ in ENGINES]
    found = [finding for facts in hosts for finding in problems(facts)]
    assert all(finding.why and finding.fix for finding in found)
