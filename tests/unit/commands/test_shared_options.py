"""The options of `invoke plan` come from the fields of PlanOptions: flags, settings, defaults, checks of values."""

from __future__ import annotations

from typing import Any

import pytest

from commands.plan import plan as plan_verb
from commands.run import run as run_verb
from commands.task import resolve
from errors import Refused
from launch.spec.option import integer, options_of
from launch.spec.plan_options import PlanOptions
from tests.invocation import invoke

OPTIONS = options_of(PlanOptions)


def values(given: dict[str, Any], settings: dict[str, Any] | None = None) -> PlanOptions:
    found = resolve(OPTIONS, given, settings or {})
    return PlanOptions(**{option.name: found[option.key] for option in OPTIONS})


def test_nothing_given_makes_the_defaults() -> None:
    assert values({}) == PlanOptions()


def test_flags_become_values_of_the_fields_types() -> None:
    found = values({"port": "9000", "max_model_len": "32768", "env": ["A=b=c"], "feature": ["x", "y=z"]})
    assert (found.port, found.max_model_len) == (9000, 32768)
    assert found.env == (("A", "b=c"),)
    assert found.features == (("x", ""), ("y", "z"))


def test_settings_count_if_no_flag_is_given() -> None:
    assert values({}, {"port": 8001, "hardware": "h200"}).port == 8001
    assert values({"port": "8002"}, {"port": 8001}).port == 8002


def test_a_yaml_truth_value_is_yes_or_no() -> None:
    assert values({}, {"cdi": False}).cdi == "no"


def test_hardware_overrides_a_platform_and_an_image_of_the_settings() -> None:
    found = values({"hardware": "h200"}, {"platform": "rocm", "image": "x:y"})
    assert (found.platform, found.image) == ("", "")
    assert values({"hardware": "h200", "image": "a:b"}, {"image": "x:y"}).image == "a:b"


def test_options_that_are_not_settings_are_not_read_from_them() -> None:
    assert values({}, {"strategy": "x"}).strategy == ""


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ({"port": "x"}, {}, r"--port must be an integer from 1 to 65535, or auto \(got 'x'\)"),
        ({}, {"port": "x"}, r"setting port must be an integer from 1 to 65535, or auto \(got 'x'\)"),
        ({"nodes": "0"}, {}, r"--nodes must be an integer from 1 to 256 \(got '0'\)"),
        ({"access": "lest"}, {}, "unknown --access value 'lest'. Did you mean `least`"),
        ({"env": ["A"]}, {}, "--env A: a value is missing"),
    ],
)
def test_a_wrong_value_is_refused_with_its_flag(
    given: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        values(given, settings)


@pytest.mark.parametrize("text", ["-1", "x", "", None, "1.5", "٣", "9" * 30])
def test_integer_refuses_anything_but_digits(text: Any) -> None:
    with pytest.raises(Refused, match="--timeout must be a non-negative integer"):
        integer("--timeout", text)


def test_run_takes_every_option_that_changes_a_plan() -> None:
    shown = {
        "output",
        "compare",
        "max-users",
        "context",
        "explain",
        "monitoring",
    }  # change what is shown of plans
    assert {option.flag for option in plan_verb.options} - shown <= {
        option.flag for option in run_verb.options
    }


def test_old_names_of_options_are_accepted_with_one_line() -> None:
    found = invoke("plan", "--hardware", "h200", "--gpus", "4", "--cure", "piecewise-cudagraphs")
    assert "`--cure` is now `--workaround`" in found.ok().err
    assert "PIECEWISE" in found.out
