"""Options of `invoke fetch` as a user gives them: sources, limit, time, JSON lines, a bundle on stdout."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from launch.weights.snapshot import require_complete
from tests.hub.conftest import BIG, MODEL, SIZES, fetch_from
from tests.hub.fault_table import assert_clear_error
from tests.hub.faults import Fault, serve_folder
from tests.hub.modelscope_stand_in import StandIn, modelscope
from tests.invocation import ROOT, invoke, start

DEAD = "http://127.0.0.1:9"
FETCH = [sys.executable, "-m", "invoke", "fetch", MODEL]


def test_sources_are_used_in_order_and_their_shares_are_printed(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub, modelscope(StandIn(folder)) as scope:
        environ = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": scope.url, "HF_HUB_CACHE": str(cache)}
        done = invoke("fetch", MODEL, "--source", "hub", "--source", "modelscope", **environ).ok()
    assert "files listed by hub; " in done.err
    assert "MiB from hub" in done.err
    assert "MiB from modelscope" in done.err
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_another_hosts_weights_stand_in_for_a_dead_hub(folder: Path, cache: Path) -> None:
    words = [sys.executable, "-m", "invoke", "serve-weights", str(folder), "--port", "0"]
    server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip().partition("=")[2]
        sources = ("--source", "hub", "--source", url)
        done = invoke("fetch", MODEL, *sources, HF_ENDPOINT=DEAD, HF_HUB_CACHE=str(cache)).ok()
    finally:
        server.terminate()
        server.wait(10)
    assert "warning: hub is not used: http://127.0.0.1:9 does not answer" in done.err
    assert f"files listed by {url}" in done.err


def test_the_token_of_the_hub_stays_with_the_hub(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub, serve_folder(folder) as mirror:
        environ = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_TOKEN": "hf_secret"}
        words = ("fetch", MODEL, "--source", "hub", "--source", mirror.url)
        invoke(*words, SLIPWAY_SOURCE_TOKEN="of-the-mirror", **environ).ok()
    sent = {one.headers.get("authorization") for one in mirror.requests}
    assert sent <= {None, "Bearer of-the-mirror"}
    assert "Bearer of-the-mirror" in sent
    assert "Bearer hf_secret" in {one.headers.get("authorization") for one in hub.requests}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--source", "nowhere"], "no such file or folder: 'nowhere'"),
        (["--source", DEAD, "--source", DEAD], "is given twice"),
        (["--source", "hub", "--from", DEAD], "--source and --from cannot be used together"),
        (["--source", "modelscope", "--xet"], "--xet fetches from the Hub only"),
        (["--limit-rate", "fast"], "--limit-rate must be bytes per second such as 50M"),
        (["--limit-rate", "0"], "at least 1K"),
        (["--limit-rate", "1M", "--xet"], "--xet cannot limit its rate"),
        (["--at", "25:00"], "--at must be a time of the day such as 02:00"),
        (["--bundle", "-", "--format", "jsonl"], "both need stdout"),
        (["--bundle", "-", "--format", "json"], "both need stdout"),
    ],
)
def test_options_that_cannot_work_are_refused(words: list[str], expected: str) -> None:
    done = invoke("fetch", MODEL, *words, HF_ENDPOINT=DEAD)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert "Traceback" not in done.err


def test_limit_rate_limits_all_connections_together(folder: Path, cache: Path) -> None:
    size = SIZES[BIG]
    with serve_folder(folder) as hub:
        begin = time.monotonic()
        words = ("fetch", MODEL, "--include", BIG, "--limit-rate", "10M", "--streams", "4")
        invoke(*words, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache)).ok()
    seconds = time.monotonic() - begin
    assert size / (10 << 20) - 0.3 < seconds < size / (10 << 20) + 6  # Python takes one or two to start


def test_at_says_until_when_and_ctrl_c_ends_the_wait(folder: Path, cache: Path) -> None:
    later = datetime.now() + timedelta(minutes=90)
    with serve_folder(folder) as hub:
        at = f"{later:%H:%M}"
        process = start("fetch", MODEL, "--at", at, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache))
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert f"waiting until {later:%Y-%m-%d %H:%M}" in line
    assert "(1 h " in line
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
    assert not cache.exists()


@pytest.mark.slow
def test_at_starts_at_once_in_the_minute_that_is_given(folder: Path, cache: Path) -> None:
    if datetime.now().second > 50:
        time.sleep(11)
    with serve_folder(folder) as hub:
        at = f"{datetime.now():%H:%M}"
        invoke("fetch", MODEL, "--at", at, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache)).ok()
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_an_unknown_model_is_refused_before_the_wait(folder: Path, cache: Path) -> None:
    later = datetime.now() + timedelta(minutes=90)
    with serve_folder(folder) as hub:
        done = invoke(
            "fetch", "no/such", "--at", f"{later:%H:%M}", HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache)
        )
    assert done.code == 1
    assert "no/such" in done.err


def test_jsonl_prints_progress_and_the_result_as_lines(folder: Path, cache: Path) -> None:
    slow = (Fault("trickle", match=BIG, rate=6 << 20),)
    with serve_folder(folder, faults=slow) as hub:
        words = ("fetch", MODEL, "--format", "jsonl")
        *steps, last = invoke(*words, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache)).events
    assert (last["event"], last["files"], last["fetched"]) == ("fetched", len(SIZES), sum(SIZES.values()))
    assert {one["event"] for one in steps} == {"progress"}
    done = [one["done"] for one in steps]
    assert len(done) > 1
    assert done == sorted(set(done))
    assert steps[-1]["total"] == sum(SIZES.values())
    assert any(file["path"] == BIG and file["size"] == SIZES[BIG] for one in steps for file in one["files"])


def test_jsonl_ends_with_an_error_as_an_event(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        words = ("fetch", "no/such", "--format", "jsonl")
        done = invoke(*words, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache))
    events = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, [one["event"] for one in events]) == (1, ["failed"])
    assert "no/such does not exist" in events[0]["what"]
    assert "no/such does not exist" in done.err


def test_jsonl_continues_if_its_reader_is_gone(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        line = f"HF_ENDPOINT={hub.url} {shlex.join(FETCH)} --format jsonl --cache {cache} | true"
        subprocess.run(["sh", "-c", line], cwd=ROOT, check=True, timeout=60)
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def piped(hub: str, cache: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run `invoke fetch --bundle - | command`, and return the exit status of the fetch."""
    line = f"HF_ENDPOINT={hub} {shlex.join(FETCH)} --cache {cache} --bundle - | {command}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_bundle_on_stdout_is_a_bundle_and_nothing_else(
    folder: Path, cache: Path, tmp_path: Path, assert_complete: Callable[[Path], None]
) -> None:
    file, twin = tmp_path / "piped.tar", tmp_path / "written.tar"
    with serve_folder(folder) as hub:
        done = piped(hub.url, cache, f"cat > {file}")
        environ = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache)}
        invoke("fetch", MODEL, "--bundle", str(twin), **environ).ok()
    assert done.returncode == 0, done.stderr
    assert "all verified" in done.stderr
    assert file.read_bytes() == twin.read_bytes()
    assert_complete(fetch_from(file, tmp_path / "other").path)


def test_a_bundle_into_a_closed_pipe_is_one_clear_line(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        done = piped(hub.url, cache, "head -c 100000 > /dev/null")
    assert done.returncode == 1
    assert_clear_error(done.stderr, "the bundle on stdout is incomplete")
    assert "the program that reads it has ended" in done.stderr
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_a_bundle_onto_a_full_disk_is_one_clear_line(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        environ = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache)}
        with Path("/dev/full").open("wb") as full:
            words = [*FETCH, "--bundle", "-"]
            done = subprocess.run(
                words, cwd=ROOT, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
    assert done.returncode == 1
    assert_clear_error(done.stderr, "No space left on device")


def test_a_bundle_is_not_written_to_a_terminal(folder: Path) -> None:
    words = ["script", "-qefc", f"{shlex.join(FETCH)} --bundle -", "/dev/null"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--bundle - would write a bundle to the terminal" in done.stdout


def test_the_only_server_of_from_gets_the_users_token(folder: Path, cache: Path) -> None:
    with serve_folder(folder, token="shared") as hub:
        environ = {"HF_TOKEN": "shared", "HF_HUB_CACHE": str(cache)}
        refused = invoke("fetch", MODEL, "--source", hub.url, **environ)
        invoke("fetch", MODEL, "--from", hub.url, **environ).ok()
    assert refused.code == 1
    assert "Traceback" not in refused.err
