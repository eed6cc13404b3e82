from hypothesis import given
from hypothesis import strategies as st

from images.build.buildkit_output import Steps, follow, short

SAID = """\
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


def shown(text):
    notes = []
    steps = follow(text.splitlines(), lambda done, total, note: notes.append((done, total, note)))
    return steps, notes


def test_each_step_has_its_seconds_under_a_short_name():
    steps, _ = shown(SAID)
    assert steps.seconds == {
        "[internal] load build definition from Dockerfile": 0.1,
        "[1/3] FROM docker.io/library/python@sha256:2fe5": 1.2,
        "[2/3] RUN bash /run/install.sh": 50.3,
        "[3/3] COPY plugin/ /opt/slipway/": 0.0,
        "exporting layers": 9.4,
    }


def test_the_bar_counts_steps_and_tells_bytes_and_words():
    _, notes = shown(SAID)
    assert (0, 4, "[1/3] FROM docker.io/library/python@sha256:2fe5: 1.05MB / 28.21MB") in notes
    assert (1, 4, "[2/3] RUN bash /run/install.sh: Installed 127 packages in 11.00s") in notes


def test_the_last_lines_are_kept_for_the_cause():
    steps, _ = shown("\n".join(f"#9 line {n}" for n in range(100)))
    assert steps.tail[-1] == "#9 line 99"
    assert len(steps.tail) == 40


def test_a_long_command_is_cut():
    assert short("[2/3] RUN " + "x" * 90).endswith("x…")
    assert len(short("[2/3] RUN " + "x" * 90)) == 60


@given(st.text())
def test_no_output_breaks_it(text):
    Steps().read(text)
