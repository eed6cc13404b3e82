"""What `invoke bench` shows and refuses without an engine."""

from __future__ import annotations

import pytest

from commands.bench import scale_of
from errors import Refused
from tests.invocation import invoke
from tests.unit.launch.bench.test_presets import GUIDE_CUDA
from tests.unit.launch.plan_builders import TINY

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def test_dry_run_shows_the_command_of_the_guide_without_an_engine() -> None:
    finished = invoke("bench", "--dry-run", "--repeat", "2", **NO_ENGINE).ok()
    command = f"docker exec slipway-minimax-m2 {' '.join(GUIDE_CUDA.split())}"
    assert finished.out.splitlines() == [f"{command} --seed SEED-1", f"{command} --seed SEED-2"]
    assert "no container engine answers" in finished.err


def test_dry_run_of_layouts_shows_which_would_be_measured() -> None:
    asked = (
        "--layouts",
        "--model",
        TINY,
        "--platform",
        "cpu",
        "--gpus",
        "2",
        "--preset",
        "chat",
        "--dry-run",
    )
    lines = invoke("bench", *asked, **NO_ENGINE).ok().out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["TP2", "TP2+EP", "DP2+EP", "TP1"]
    assert lines[5] == "users at once: 1, 5, 32"
    found = invoke("bench", *asked, "--format", "json", **NO_ENGINE).json
    assert (found["users"], found["layouts"][0]["layout"]) == ([1, 5, 32], "TP2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("one", "--layouts"), "--layouts cannot be used with the server 'one'"),
        (("--layouts", "--preset", "guide-cude", "--dry-run"), "unknown preset 'guide-cude'"),
        (("--repeat", "0"), "--repeat must be an integer from 1 to 100 (got '0')"),
        (("--repeat", "-1"), "--repeat must be an integer from 1 to 100 (got '-1')"),
        (("--repeat", "1e9"), "--repeat must be an integer from 1 to 100 (got '1e9')"),
        (("--preset", "guide-cude", "--dry-run"), "unknown preset 'guide-cude'. Did you mean `guide-cuda`"),
    ],
)
def test_a_request_that_is_not_valid_is_refused_in_one_line(options: tuple[str, ...], message: str) -> None:
    finished = invoke("bench", *options, **NO_ENGINE)
    assert finished.code == 2
    assert message in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.parametrize(("given", "factor"), [("small", 0.1), ("0.02", 0.02), (1, 1)])
def test_scale_of_a_number_or_small(given: object, factor: float) -> None:
    assert scale_of("--scale", given) == factor


@pytest.mark.parametrize("given", ["0", "-1", "1.01", "nan", "inf", "x", "", "1e400"])
def test_scale_of_anything_else_is_refused(given: str) -> None:
    with pytest.raises(Refused, match="must be small, or a number above 0 and at most 1"):
        scale_of("--scale", given)
