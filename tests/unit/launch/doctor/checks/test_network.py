"""Checks of clock, network and deadlines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.doctor.facts import Certificates, Network
from tests.unit.launch.doctor.hosts import (
    HUB,
    cpu,
    only_problem,
)  # fmt: skip


def test_clock_finds_a_time_in_the_past() -> None:
    assert (
        only_problem(cpu(hub=replace(HUB, clock_skew=None), clock=0.0)).what
        == "1970-01-01 00:00 UTC is in the past"
    )


@pytest.mark.parametrize(
    ("network", "severity", "check"),
    [
        (Network(proxies=(("https_proxy", "http://proxy:3128"),)), "warning", "proxy"),
        (Network(proxies=(("https_proxy", "?"),), no_proxy="localhost"), "error", "proxy"),
        (
            Network(certificates=(Certificates("SSL_CERT_FILE", "/x", "the file does not exist"),)),
            "error",
            "certificates",
        ),
    ],
)
def test_run_checks_finds_network_problems(network: Network, severity: str, check: str) -> None:
    found = only_problem(cpu(network=network))
    assert (found.severity, found.check) == (severity, check)


def test_timed_out_is_an_error() -> None:
    assert only_problem(cpu(timed_out=("hardware",))).severity == "error"
