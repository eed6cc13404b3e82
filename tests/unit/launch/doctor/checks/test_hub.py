"""Checks of the Hub, its cache and the token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.doctor.report import run_checks
from tests.unit.launch.doctor.hosts import (
    HUB,
    cpu,
    only_problem,
    problems,
)  # fmt: skip

HUBS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"token_rejected": True, "token_source": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_malformed": True, "token_source": "HF_TOKEN"}, "error", "hub token", "invoke login"),
    ({"token_source": "/home/anna/token", "token_mode": 0o644}, "warning", "hub token", "chmod 600"),
    (
        {"licence": "missing", "model": "a/b"},
        "error",
        "licence",
        "accept the licence on https://huggingface.co/a/b",
    ),
    ({"licence": "unknown model", "model": "a/b"}, "error", "licence", "check the name"),
    ({"cache_writable": False, "cache_owner": "root"}, "error", "hub cache", "chown -R anna /data/hub"),
    ({"cache_file": "/data/hub"}, "error", "hub cache", "export HF_HUB_CACHE=DIR"),
    ({"foreign_entries": 3}, "warning", "hub cache", "chown -R anna /data/hub"),
    ({"to_fetch": 1000 * 10**9}, "error", "weights", "another disk"),
    ({"clock_skew": -3600.0}, "error", "clock", "timedatectl"),
]


@pytest.mark.parametrize(("change", "severity", "check", "fix"), HUBS)
def test_run_checks_finds_hub_problems(change: dict[str, Any], severity: str, check: str, fix: str) -> None:
    found = only_problem(cpu(hub=replace(HUB, **change)))
    assert (found.severity, found.check) == (severity, check)
    assert fix in found.fix


def test_reached_only_informs_without_a_network() -> None:
    facts = cpu(hub=replace(HUB, reached=False, clock_skew=None, error="Name or service not known"))
    assert problems(facts) == []
    assert any("cannot be reached: Name or service not known" in f.what for f in run_checks(facts))
