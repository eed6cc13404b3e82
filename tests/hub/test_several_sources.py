"""Several sources of one model: one list, bytes from the fastest, and every fault of one of them is survived."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from errors import Failed, SlipwayError
from launch.weights.bundle.write import write_bundle
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from launch.weights.source import Source
from launch.weights.sources.hub import Hub
from launch.weights.sources.modelscope import ModelScope
from launch.weights.sources.offline import source_of
from launch.weights.sources.several import SeveralSources
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import Fault, serve_folder
from tests.hub.modelscope_stand_in import StandIn, modelscope
from tests.invocation import ROOT

DEAD = "http://127.0.0.1:9"
LISTING = replace(QUICK, attempts=2)


def several(**sources: str | Source) -> SeveralSources:
    """Sources by name; text is the address of a Hub."""
    return SeveralSources(
        {
            name: Hub(MODEL, source, LISTING) if isinstance(source, str) else source
            for name, source in sources.items()
        }
    )


def fetch_several(sources: SeveralSources, cache: Path) -> Snapshot:
    return fetch_model(MODEL, cache=cache, source=sources, policy=QUICK)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return the warnings about the sources."""
    return lambda: "\n".join(one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING)


def test_bytes_come_from_all_sources(
    folder: Path, cache: Path, commit: str, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as one, serve_folder(folder) as two:
        sources = several(one=one.url, two=two.url)
        snapshot = fetch_several(sources, cache)
    assert_complete(snapshot.path)
    assert (snapshot.commit, sources.listed_by) == (commit, "one")
    assert set(sources.shares()) == {"one", "two"}
    assert sum(sources.shares().values()) == sum(SIZES.values())


def test_a_dead_first_source_leaves_the_list_to_the_next(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None], warnings: Callable[[], str]
) -> None:
    with serve_folder(folder) as hub:
        sources = several(dead=DEAD, alive=hub.url)
        assert_complete(fetch_several(sources, cache).path)
    assert (sources.listed_by, list(sources.shares())) == ("alive", ["alive"])
    assert "dead is not used: http://127.0.0.1:9 does not answer" in warnings()


def test_sources_that_are_all_dead_are_all_named(cache: Path) -> None:
    with pytest.raises(Failed) as error:
        fetch_several(several(one=DEAD, two="http://127.0.0.1:10"), cache)
    assert "http://127.0.0.1:9 does not answer" in str(error.value)
    assert "http://127.0.0.1:10 does not answer" in str(error.value)


def test_a_slow_source_is_left_for_a_fast_one(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    slow = Fault("trickle", match="*.safetensors", rate=50_000)  # 31 MB would take 10 min
    with serve_folder(folder, faults=(slow,)) as one, serve_folder(folder) as two:
        sources, start = several(slow=one.url, fast=two.url), time.monotonic()
        assert_complete(fetch_several(sources, cache).path)
    assert time.monotonic() - start < 20
    assert sources.shares()["fast"] > 0.9 * sum(SIZES.values())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", at=1 << 20),
        Fault("close", at=1 << 20),
        Fault("stall", at=1 << 20),
        Fault("mute"),
        Fault("status", status=503),
        Fault("status", status=404),
        Fault("status", "resolve", status=403),
        Fault("redirect", "resolve", location=f"{DEAD}/x"),
        Fault("whole"),
        Fault("cap", rate=100_000),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status if fault.kind == 'status' else ''}-{fault.where}",
)
def test_a_source_that_fails_for_ever_costs_only_time(
    fault: Fault, folder: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder, faults=(fault,)) as one, serve_folder(folder) as two:
        start = time.monotonic()
        assert_complete(fetch_several(several(broken=one.url, whole=two.url), cache).path)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("broken_first", [True, False])
def test_a_source_that_sends_other_bytes_is_named_and_dropped(
    broken_first: bool,
    folder: Path,
    cache: Path,
    assert_complete: Callable[[Path], None],
    warnings: Callable[[], str],
) -> None:
    faults = tuple(Fault("flip", where, at=7) for where in ("content", "resolve"))
    first, second = (faults, ()) if broken_first else ((), faults)
    with serve_folder(folder, faults=first) as one, serve_folder(folder, faults=second) as two:
        names = ("liar", "honest") if broken_first else ("honest", "liar")
        sources = several(**dict(zip(names, (one.url, two.url), strict=True)))
        assert_complete(fetch_several(sources, cache).path)
    assert "liar is no longer used: it sent other bytes of" in warnings()
    assert "honest is no longer used" not in warnings()


def test_two_sources_that_send_other_bytes_leave_nothing_wrong(folder: Path, cache: Path) -> None:
    flip = (Fault("flip", match=BIG, at=7),)
    with (
        serve_folder(folder, faults=flip) as one,
        serve_folder(folder, faults=flip) as two,
        pytest.raises(SlipwayError, match=f"wrong content: {BIG}"),
    ):
        fetch_several(several(one=one.url, two=two.url), cache)
    snapshot = next((cache / "models--harbour--dinghy/snapshots").iterdir())
    assert not (snapshot / BIG).exists()
    assert (snapshot / "config.json").is_file()


def test_a_source_with_fewer_files_sends_those_that_it_has(
    folder: Path,
    cache: Path,
    elsewhere: Snapshot,
    tmp_path: Path,
    assert_complete: Callable[[Path], None],
    warnings: Callable[[], str],
) -> None:
    few = fetch_model(
        MODEL, cache=tmp_path / "few", source=source_of(str(tmp_path / "elsewhere"), MODEL), include=(BIG,)
    )
    write_bundle(few, tmp_path / "few", tmp_path / "few.tar", lambda progress: None)
    with serve_folder(folder) as hub:
        sources = several(hub=hub.url, bundle=source_of(str(tmp_path / "few.tar"), MODEL))
        assert_complete(fetch_several(sources, cache).path)
    assert f"bundle does not have {len(SIZES) - 1} of {len(SIZES)} files" in warnings()
    assert "bundle" in sources.shares()


def test_a_listing_that_disagrees_is_named_and_its_file_not_taken(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None], warnings: Callable[[], str]
) -> None:
    other = StandIn(folder, changes={BIG: {"Sha256": "0" * 64}, "config.json": {"Size": 5}})
    with serve_folder(folder) as hub, modelscope(other):
        sources = several(hub=hub.url, scope=ModelScope(MODEL, other.url, LISTING))
        assert_complete(fetch_several(sources, cache).path)
    assert f"scope lists other content for 2 of {len(SIZES)} files" in warnings()
    assert [one for one in other.requests if f"FilePath={BIG}" in one or "config.json" in one] == []
    assert [one for one in other.requests if "FilePath=" in one] != []


def test_the_locked_list_decides_who_is_trusted(
    folder: Path,
    cache: Path,
    commit: str,
    assert_complete: Callable[[Path], None],
    warnings: Callable[[], str],
) -> None:
    with serve_folder(folder) as hub, modelscope(StandIn(folder, left_out=("config.json",))) as other:
        digest = Hub(MODEL, hub.url, LISTING).manifest(commit).digest
        sources = several(scope=ModelScope(MODEL, other.url, LISTING), hub=hub.url)
        sources.digest = digest
        snapshot = fetch_model(MODEL, cache=cache, source=sources, policy=QUICK, digest=digest)
    assert_complete(snapshot.path)
    assert sources.listed_by == "hub"
    assert "scope is not used for the list of files" in warnings()


def test_a_killed_fetch_continues_with_another_source(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    slow = Fault("trickle", match=BIG, rate=4_000_000)
    with serve_folder(folder, faults=(slow,)) as one, serve_folder(folder) as two:
        words = ["fetch", MODEL, "--source", one.url, "--source", DEAD, "--cache", str(cache)]
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1"},
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and not _partial(cache):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        kept = _partial(cache)
        assert kept >= 1 << 20
        sources = several(dead=DEAD, two=two.url)
        snapshot = fetch_several(sources, cache)
    assert_complete(snapshot.path)
    assert sum(sources.shares().values()) <= sum(SIZES.values()) - kept


def _partial(cache: Path) -> int:
    """Bytes of the big file that are on disk; 0 until there are 1 MiB."""
    sizes = [path.stat().st_size for path in cache.glob("models--*/blobs/*incomplete*")]
    return max([size for size in sizes if size >= 1 << 20], default=0)
