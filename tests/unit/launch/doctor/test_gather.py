"""Looking at everything at once: what hangs is left behind and named."""

from __future__ import annotations

import threading
import time

import pytest

from errors import Refused
from launch.doctor.gather import Race, gather, user_name
from launch.hardware import detect
from launch.hardware.types import Gpu, Hardware, VendorReport


def test_a_question_that_hangs_is_named_and_not_waited_for() -> None:
    stuck = threading.Event()
    race = Race(quick=lambda: 7, slow=stuck.wait)
    assert race.take("quick", time.monotonic() + 5, None) == 7
    assert race.take("slow", time.monotonic(), "nothing") == "nothing"
    assert race.late == ["slow"]
    stuck.set()


def test_an_error_comes_out_where_the_answer_is_taken() -> None:
    def refuse() -> None:
        raise Refused("no")

    with pytest.raises(Refused, match="no"):
        Race(x=refuse).take("x", time.monotonic() + 5, None)


def test_a_host_with_both_vendors_must_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Hardware(
        nvidia=VendorReport("nvidia", gpus=(Gpu(0, "nvidia"),)),
        amd=VendorReport("amd", gpus=(Gpu(0, "amd"),)),
    )
    monkeypatch.setattr(detect, "detect", lambda: both)
    monkeypatch.setattr("launch.doctor.probes.hub.online", lambda hub, patience: hub)
    with pytest.raises(Refused, match="NVIDIA and AMD"):
        gather()


def test_a_user_without_a_name_is_a_number() -> None:
    assert user_name(4242424) == "4242424"
