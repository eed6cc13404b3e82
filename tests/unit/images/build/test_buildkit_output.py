"""BuildKit's plain output: the seconds of each step, and the text of the progress bar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from images.build.buildkit_output import Steps, follow, short

OUTPUT = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.1s

#4 [1/3] FROM docker.io/library/python@sha256:2fe5
#4 sha256:2fe5 1.05MB / 28.21MB 0.2s
#4 DONE 1.2s

#5 [2/3] RUN --mount=type=bind,source=uv     --mount=type=cache,id=c,target=/c     bash /run/install.sh
#5 0.512 Installed 127 packages in 11.00s
#5 DONE 50.3s

#6 [3/3] COPY plugin/ /opt/slipway/
#6 CACHED

#7 exporting layers
#7 exporting layers 9.4s done
#7 DONE 9.4s
"""


def read(text: str) -> tuple[Steps, list[tuple[float, float | None, str]]]:
    """Follow the text; return the steps and every call of `show`."""
    calls: list[tuple[float, float | None, str]] = []
    steps = follow(text.splitlines(), lambda done, total, note: calls.append((done, total, note)))
    return steps, calls


def test_follow_returns_the_seconds_of_each_step_under_a_short_name() -> None:
    steps, _ = read(OUTPUT)
    assert steps.seconds == {
        "[internal] load build definition from Dockerfile": 0.1,
        "[1/3] FROM docker.io/library/python@sha256:2fe5": 1.2,
        "[2/3] RUN bash /run/install.sh": 50.3,
        "[3/3] COPY plugin/ /opt/slipway/": 0.0,
        "exporting layers": 9.4,
    }


def test_follow_shows_the_number_of_steps_with_bytes_and_output() -> None:
    _, calls = read(OUTPUT)
    assert (0, 4, "[1/3] FROM docker.io/library/python@sha256:2fe5: 1.05MB / 28.21MB") in calls
    assert (1, 4, "[2/3] RUN bash /run/install.sh: Installed 127 packages in 11.00s") in calls


def test_follow_keeps_the_last_lines() -> None:
    steps, _ = read("\n".join(f"#9 line {n}" for n in range(100)))
    assert steps.tail == [f"#9 line {n}" for n in range(60, 100)]


def test_short_cuts_a_long_command() -> None:
    assert short("[2/3] RUN " + "x" * 90) == "[2/3] RUN " + "x" * 49 + "…"


@given(st.lists(st.text()))
def test_follow_accepts_any_output(lines: list[str]) -> None:
    steps = follow(lines, lambda done, total, note: None)
    assert steps.tail == [line.rstrip() for line in lines][-40:]
    assert set(steps.seconds) <= set(steps.names.values())
