from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Refused
from launch.spec.control_characters import FORBIDDEN, one_line
from launch.spec.plan import Mount, Port, Process
from tests.unit.launch.plan_builders import M2, plan

MADE = plan(M2, "h200", 4)
forbidden = st.sampled_from([chr(code) for code in range(0x110000) if FORBIDDEN.match(chr(code))])
broken = st.tuples(st.text(max_size=5), forbidden, st.text(max_size=5)).map("".join)
UNIT = "x\nPodmanArgs=--privileged --pid=host"


@pytest.mark.parametrize(
    "asked",
    [
        {"env": (("NAME", UNIT),)},
        {"env": ((f"NAME={UNIT}", "1"),)},
        {"settings": (("--served-model-name", UNIT),)},
        {"image": f"registry.example/{UNIT}"},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_a_newline_in_a_request_does_not_reach_a_renderer(asked: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"has the control character '\\n'"):
        plan(M2, "h200", 4, **asked)


@given(broken, st.data())
def test_no_field_of_a_plan_that_is_started_takes_a_control_character(text: str, data: st.DataObject) -> None:
    container, process = MADE.container, MADE.processes[0]
    changed: list[dict[str, Any]] = [
        {"model": text},
        {"image": text},
        {"processes": (replace(process, argv=(*process.argv, text)),)},
        {"processes": (replace(process, env=((text, "1"),)),)},
        {"processes": (Process(text, 0, ()),)},
        {"container": replace(container, name=text)},
        {"container": replace(container, devices=(text,))},
        {"container": replace(container, env_files=(text,))},
        {"container": replace(container, mounts=(Mount(text, "/hub"),))},
        {"container": replace(container, ports=(Port(text, 8000, 8000),))},
    ]
    with pytest.raises(Refused):
        replace(MADE, **data.draw(st.sampled_from(changed)))


@given(st.one_of(broken, st.text(max_size=10)))
def test_a_text_for_people_becomes_one_line_and_a_harmless_one_stays(text: str) -> None:
    assert not FORBIDDEN.search(one_line(text))
    if not FORBIDDEN.search(text):
        assert one_line(text) == text
