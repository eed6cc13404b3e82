"""What is said, to whom, and that nothing depends on who listens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve_folder
from launch.weights.login import log_in
from tests.invocation import ROOT, invoke

from .conftest import MODEL, QUICK, SIZES

WORDS = [sys.executable, "-m", "invoke", "fetch", "--model", MODEL]


@pytest.mark.parametrize("listener", ["2>&1 | true", "2>&- >&-", ">/dev/null 2>&-"])
def test_a_fetch_goes_on_where_nobody_listens(listener: str, folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        line = f'HF_ENDPOINT={hub.url} "$0" "$@" --cache {cache} {listener}'
        subprocess.run(["sh", "-c", line, *WORDS], cwd=ROOT, check=True)
    assert weights.check(MODEL, cache=cache).files == len(SIZES)


def test_names_and_reasons_are_no_markup(folder: Path, tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "[bold]x[red].txt").write_bytes(bytes(1 << 20))
    slow = (Fault("trickle", "resolve", rate=2 << 20),)
    with serve_folder(tmp_path / "served", faults=slow) as hub:
        line = " ".join([*WORDS, "--cache", str(cache)])
        words = ["script", "-qefc", f"HF_ENDPOINT={hub.url} {line}", "/dev/null"]
        shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "[bold]x[red].txt" in shown


def test_a_name_that_the_terminal_cannot_show_is_shown_somehow(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "\N{SNOWMAN}.txt").write_text("cold")
    with serve_folder(tmp_path / "served") as hub:
        given = {"HF_ENDPOINT": hub.url, "PYTHONIOENCODING": "ascii", "HF_HUB_CACHE": str(cache)}
        assert "\\u2603.txt" in invoke("fetch", "--model", MODEL, "--dry-run", **given).ok().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"INVOKE_SLIPWAY_STREAMS": "abc"}, "--streams abc: a whole number is wanted"),
        ({"HF_TOKEN_PATH": "/"}, "the token in / cannot be read"),
        ({"HF_HUB_CACHE": "~nosuch/x"}, "a home directory is not known"),
    ],
)
def test_settings_that_are_none_are_named(given: dict[str, str], said: str) -> None:
    answer = invoke("fetch", "--model", MODEL, **{"HF_ENDPOINT": "http://127.0.0.1:9", **given})
    assert answer.code
    assert answer.err.startswith(f"error: {said}")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", "whoami", status=503), "try again later"),
        (Fault("status", "whoami", status=401), "make a read token"),
        (Fault("drip", "whoami", seconds=9), "gave no answer that can be used (DeadlineExceeded)"),
    ],
)
def test_a_login_that_fails_says_whose_fault_it_is(
    fault: Fault, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.weights.login.RetryPolicy", lambda: QUICK)
    with serve_folder(folder, faults=(fault,)) as hub:
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", hub.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("://", "://me:secret@"))
        with pytest.raises(SlipwayError) as raised:
            log_in("hf_x")
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_next_command_can_be_typed_as_it_stands(
    folder: Path, tmp_path: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    cache = tmp_path / "with space"
    with serve_folder(folder) as hub:
        found = fetch(hub.url, cache=cache)
    (found.path / "config.json").unlink()
    said = invoke("verify", "--model", MODEL, "--revision", found.commit, "--cache", str(cache))
    assert f"invoke verify --model {MODEL} --revision {found.commit} --cache '{cache}' --repair" in said.err
    with pytest.raises(SlipwayError, match=f"--cache '{cache}'"):
        weights.check(MODEL, cache=cache)


def test_a_client_is_sent_to_the_address_that_it_asked(folder: Path, cache: Path) -> None:
    with serve_folder(folder, host="0.0.0.0") as hub:
        found = weights.fetch(
            MODEL, cache=cache, endpoint=hub.url.replace("0.0.0.0", "127.0.0.1"), patience=QUICK
        )
        hosts = {one.headers["host"].rpartition(":")[0] for one in hub.requests}
    assert (hosts, found.files) == ({"127.0.0.1"}, len(SIZES))


def test_a_served_name_that_no_hub_has_is_left_out(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    for name in (b"good.txt", b"\xff.txt", b"a\\b.txt"):
        Path(str(at) + "/" + name.decode(errors="surrogateescape")).write_text("x")
    with serve_folder(tmp_path / "served") as hub:
        assert weights.fetch(MODEL, cache=cache, endpoint=hub.url, patience=QUICK).files == 1
