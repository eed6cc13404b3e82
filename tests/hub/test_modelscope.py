"""ModelScope as a source, against the stand-in for it: every file is verified, a wrong answer is one clear error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from errors import Refused, SlipwayError
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from launch.weights.sources.modelscope import ENDPOINT, MOST_LISTED, ModelScope, endpoint_of
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.fault_table import assert_clear_error
from tests.hub.modelscope_stand_in import StandIn, modelscope


def fetch_from_scope(stand_in: StandIn, cache: Path, revision: str = "main") -> Snapshot:
    source = ModelScope(MODEL, stand_in.url, replace(QUICK, attempts=2))
    return fetch_model(MODEL, cache=cache, source=source, policy=QUICK, revision=revision)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_model_is_fetched_and_verified(
    ranges: bool, folder: Path, cache: Path, commit: str, assert_complete: Callable[[Path], None]
) -> None:
    with modelscope(StandIn(folder, ranges=ranges)) as other:
        snapshot = fetch_from_scope(other, cache)
    assert_complete(snapshot.path)
    assert snapshot.commit == commit  # the same content has the same commit as in a served folder
    assert other.requests[0] == f"/api/v1/models/{MODEL}/repo/files?Revision=master&Recursive=True"
    paths = [one for one in other.requests if "FilePath=nested%2Fdeeper%2Fnotes.txt" in one]
    assert paths == [f"/api/v1/models/{MODEL}/repo?Revision=master&FilePath=nested%2Fdeeper%2Fnotes.txt"]


def test_a_file_whose_content_is_not_listed_gets_no_name(folder: Path, cache: Path) -> None:
    wrong = StandIn(folder, changes={BIG: {"Sha256": "a" * 64}})
    with modelscope(wrong) as other, pytest.raises(SlipwayError) as error:
        fetch_from_scope(other, cache)
    assert_clear_error(str(error.value), f"1 of {len(SIZES)} files have the wrong content: {BIG}")


@pytest.mark.parametrize(
    ("stand_in", "expected"),
    [
        ({"changes": {BIG: {"Sha256": ""}}}, f"lists no hash of {BIG}"),
        ({"changes": {BIG: {"Path": "../../out"}}}, "refused the file name '../../out'"),
        ({"changes": {BIG: {"Size": "many"}}}, "its response is not ModelScope's JSON"),
        ({"listing": b"<html>log in</html>"}, "its response is not ModelScope's JSON"),
        ({"listing": b"[]"}, "its response is not ModelScope's JSON"),
        ({"listing": b'{"Code": 200, "Data": null}'}, "its response is not ModelScope's JSON"),
        ({"listing": b'{"Code": 10010205001, "Success": false, "Message": "gone"}'}, "gone"),
        ({"status": 503}, "it answered 503"),
        ({"status": 404}, "it answered 404"),
    ],
)
def test_a_listing_that_cannot_be_used_is_one_clear_error(
    stand_in: dict[str, object], expected: str, folder: Path, cache: Path, tmp_path: Path
) -> None:
    wrong = StandIn(folder, **stand_in)  # type: ignore[arg-type]
    with modelscope(wrong) as other, pytest.raises(SlipwayError) as error:
        fetch_from_scope(other, cache)
    assert_clear_error(str(error.value), expected)
    assert not (tmp_path / "out").exists()


def test_a_listing_that_may_be_cut_is_not_used(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "many" / MODEL
    root.mkdir(parents=True)
    for number in range(MOST_LISTED):
        (root / f"{number:05d}").touch()
    with (
        modelscope(StandIn(tmp_path / "many")) as other,
        pytest.raises(SlipwayError, match="never lists more"),
    ):
        fetch_from_scope(other, cache)


def test_a_commit_of_the_hub_is_refused_without_a_request(folder: Path, cache: Path, commit: str) -> None:
    with modelscope(StandIn(folder)) as other, pytest.raises(SlipwayError, match="commits of the Hub"):
        fetch_from_scope(other, cache, commit)
    assert other.requests == []


def test_endpoint_of_reads_the_variable_of_the_public_client() -> None:
    assert endpoint_of({}) == ENDPOINT
    assert endpoint_of({"MODELSCOPE_ENDPOINT": "http://mirror/"}) == "http://mirror"
    with pytest.raises(Refused, match="MODELSCOPE_ENDPOINT is not a URL"):
        endpoint_of({"MODELSCOPE_ENDPOINT": "mirror"})
