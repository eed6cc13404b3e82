"""The noise of a host: measured from repeats of one start, kept, and used by comparisons."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from statistics import stdev

import pytest

from errors import Failed
from launch.bench.against import compare
from launch.bench.comparison import Outcome
from launch.bench.history import Side
from launch.bench.metrics import MAIN
from launch.bench.noise import floors_for, measure_noise, save
from launch.bench.record import Host
from tests.unit.launch.bench.group_data import VOID, load, runs, server, side

VALUES = [100, 104, 96, 101]
QUIET = [100.0, 100.1, 99.9, 100.0]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path


def test_the_noise_is_the_standard_deviation_of_the_logarithms() -> None:
    noise = measure_noise(side("n", VALUES))
    assert noise.floors[MAIN] == pytest.approx(stdev(map(math.log, VALUES)))
    assert (noise.host, noise.image, noise.runs) == ("here", "sha256:aa", 4)


def test_saved_noise_widens_a_later_comparison_of_this_host_image_and_workload() -> None:
    old, new = side("old", QUIET), side("new", [x * 1.06 for x in QUIET])
    assert compare(old, new).row(MAIN).comparison.outcome is Outcome.FASTER
    save(measure_noise(side("n", [100, 110, 90, 105])))
    found = compare(old, new)
    assert found.row(MAIN).comparison.outcome is Outcome.UNCLEAR
    assert not any("noise" in sentence for sentence in found.limits)


@pytest.mark.parametrize(
    "other",
    [
        side("o", QUIET, host=Host(name="there")),
        side("o", QUIET, server=server(image_id="sha256:bb")),
        side("o", QUIET, load=load(input_len=82)),
    ],
)
def test_noise_of_another_host_image_or_workload_is_not_used(other: Side) -> None:
    save(measure_noise(side("n", VALUES)))
    assert floors_for(other, other) == {}


def test_of_two_images_the_greater_noise_counts() -> None:
    new = side("new", QUIET, server=server(image_id="sha256:bb"))
    save(measure_noise(side("n", QUIET)))
    save(measure_noise(side("m", VALUES, server=server(image_id="sha256:bb"))))
    assert floors_for(side("old", QUIET), new)[MAIN] == pytest.approx(stdev(map(math.log, VALUES)))


def test_a_new_measurement_replaces_the_old_one() -> None:
    paths = {save(measure_noise(side("n", VALUES))), save(measure_noise(side("m", QUIET)))}
    assert len(paths) == 1
    assert floors_for(side("a", QUIET), side("b", QUIET))[MAIN] < 0.002


@pytest.mark.parametrize(
    "few",
    [
        side("f", VALUES[:3]),
        side("f", VALUES, validity=VOID),
        side("f", VALUES, status="interrupted"),
        Side("f", (*runs("a", VALUES), *runs("b", VALUES, server=server("c2@2")))),
    ],
)
def test_fewer_than_four_usable_runs_or_two_starts_are_refused(few: Side) -> None:
    with pytest.raises(Failed, match="4 or more runs of one start") as failed:
        measure_noise(few)
    assert failed.value.fix == "invoke bench --noise --repeat 5"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', "\x00", '{"schema":1,"runs":3}'])
def test_a_damaged_file_counts_as_not_measured(text: str, caplog: pytest.LogCaptureFixture) -> None:
    save(measure_noise(side("n", VALUES))).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert floors_for(side("a", QUIET), side("b", QUIET)) == {}
    assert "cannot read the noise of this host" in caplog.text


@pytest.mark.parametrize("value", ["-1.0", "NaN", "Infinity", '"x"', "null"])
def test_noise_that_is_not_a_standard_deviation_is_damaged(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(measure_noise(side("n", VALUES)))
    path.write_text(path.read_text().partition('"floors"')[0] + f'"floors":{{"{MAIN}":{value}}}}}')
    assert floors_for(side("a", QUIET), side("b", QUIET)) == {}


def test_noise_that_cannot_be_written_is_one_clear_error(own_state: Path) -> None:
    (own_state / "state").mkdir()
    (own_state / "state" / "noise").write_text("")
    with pytest.raises(Failed, match="cannot write"):
        save(measure_noise(side("n", VALUES)))
