"""Gather facts in parallel: a probe that hangs is abandoned and reported."""

from __future__ import annotations

import threading

import pytest

from errors import Refused
from launch.doctor.facts import HubFacts
from launch.doctor.gather import gather, user_name
from launch.doctor.probes import hub
from launch.hardware import detect
from launch.hardware.types import Gpu, Hardware, VendorReport


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(facts: HubFacts, timeout: float) -> HubFacts:
        return facts

    monkeypatch.setattr(hub, "query", query)
    monkeypatch.setattr("launch.engine.client.sockets", lambda: [])


def test_gather_reports_a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()

    def detect_never() -> Hardware:
        hang.wait(20)
        return Hardware()

    monkeypatch.setattr(detect, "detect", detect_never)
    facts = gather("cpu", seconds=0.1)
    assert facts.timed_out == ("hardware",)
    assert facts.hardware == Hardware()
    hang.set()


def test_gather_continues_without_a_hub_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()

    def query_never(facts: HubFacts, timeout: float) -> HubFacts:
        hang.wait(20)
        return facts

    monkeypatch.setattr(hub, "query", query_never)
    monkeypatch.setattr(detect, "detect", Hardware)
    facts = gather("cpu", seconds=0.1)
    assert (facts.hub.reached, facts.timed_out) == (False, ())
    hang.set()


def test_gather_refuses_gpus_of_both_vendors_without_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Hardware(
        nvidia=VendorReport("nvidia", gpus=(Gpu(0, "nvidia"),)),
        amd=VendorReport("amd", gpus=(Gpu(0, "amd"),)),
    )
    monkeypatch.setattr(detect, "detect", lambda: both)
    with pytest.raises(Refused, match="NVIDIA and AMD"):
        gather()


def test_user_name_of_an_unknown_user_is_the_number() -> None:
    assert user_name(4242424) == "4242424"
