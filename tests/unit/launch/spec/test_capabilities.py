"""Capabilities as JSON: what a label holds is what is read from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.spec.capabilities import Capabilities

names = st.frozensets(st.text())


def test_from_json_ignores_unknown_keys_and_null() -> None:
    text = '{"python": "3.13.1", "flags": ["--a"], "env": null, "colour": "red"}'
    assert Capabilities.from_json(text) == Capabilities(python="3.13.1", flags=frozenset({"--a"}))


@given(
    st.builds(
        Capabilities, python=st.text(), flags=names, env=names, gpu_archs=st.lists(st.text()).map(tuple)
    )
)
def test_from_json_restores_what_as_json_wrote(capabilities: Capabilities) -> None:
    assert Capabilities.from_json(capabilities.as_json()) == capabilities


def test_as_json_is_equal_for_equal_capabilities() -> None:
    one = Capabilities.of({"flags": ["--b", "--a"], "tool_parsers": ("y", "x")})
    other = Capabilities.of({"flags": ["--a", "--b"], "tool_parsers": ("x", "y")})
    assert one.as_json() == other.as_json()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"'])
def test_from_json_rejects_text_that_is_not_an_object(text: str) -> None:
    with pytest.raises(ValueError):
        Capabilities.from_json(text)
