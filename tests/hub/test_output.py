"""Messages of login, fetch, verify and serve-weights; and fetches whose output is not read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.fetch import fetch_model
from launch.weights.login import log_in
from launch.weights.snapshot import Snapshot, require_complete
from tests.hub.conftest import MODEL, QUICK, SIZES
from tests.hub.faults import Fault, serve_folder
from tests.invocation import ROOT, invoke

COMMAND = [sys.executable, "-m", "invoke", "fetch", "--model", MODEL]


@pytest.mark.parametrize("redirection", ["2>&1 | true", "2>&- >&-", ">/dev/null 2>&-"])
def test_fetch_continues_if_its_output_is_closed(redirection: str, folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        line = f'HF_ENDPOINT={hub.url} "$0" "$@" --cache {cache} {redirection}'
        subprocess.run(["sh", "-c", line, *COMMAND], cwd=ROOT, check=True)
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_file_names_are_not_read_as_markup(folder: Path, tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "[bold]x[red].txt").write_bytes(bytes(1 << 20))
    slow = (Fault("trickle", "resolve", rate=2 << 20),)
    with serve_folder(tmp_path / "served", faults=slow) as hub:
        line = " ".join([*COMMAND, "--cache", str(cache)])
        words = ["script", "-qefc", f"TERM=xterm HF_ENDPOINT={hub.url} {line}", "/dev/null"]
        output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "[bold]x[red].txt" in output


def test_file_names_are_escaped_if_the_terminal_cannot_show_them(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "\N{SNOWMAN}.txt").write_text("cold")
    with serve_folder(tmp_path / "served") as hub:
        environ = {"HF_ENDPOINT": hub.url, "PYTHONIOENCODING": "ascii", "HF_HUB_CACHE": str(cache)}
        assert "\\u2603.txt" in invoke("fetch", "--model", MODEL, "--dry-run", **environ).ok().out


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"INVOKE_SLIPWAY_STREAMS": "abc"}, "setting streams must be an integer"),
        ({"HF_TOKEN_PATH": "/"}, "the token in / cannot be read"),
        ({"HF_HUB_CACHE": "~nosuch/x"}, "the home directory is unknown"),
    ],
)
def test_fetch_names_an_invalid_setting(environ: dict[str, str], message: str) -> None:
    result = invoke("fetch", "--model", MODEL, **{"HF_ENDPOINT": "http://127.0.0.1:9", **environ})
    assert result.code
    assert result.err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", "whoami", status=503), "try again later"),
        (Fault("status", "whoami", status=401), "create a read token"),
        (Fault("drip", "whoami", seconds=9), "gave no valid response (DeadlineExceeded)"),
    ],
)
def test_login_explains_a_failure(
    fault: Fault, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.weights.login.RetryPolicy", lambda: QUICK)
    with serve_folder(folder, faults=(fault,)) as hub:
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", hub.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("://", "://me:secret@"))
        with pytest.raises(SlipwayError) as error:
            log_in("hf_x")
    assert message in str(error.value)
    assert "secret" not in str(error.value)


def test_the_next_command_is_quoted_for_the_shell(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]
) -> None:
    cache = tmp_path / "with space"
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url, cache=cache)
    (snapshot.path / "config.json").unlink()
    result = invoke("verify", "--model", MODEL, "--revision", snapshot.commit, "--cache", str(cache))
    assert f"invoke verify {MODEL} --revision {snapshot.commit} --cache '{cache}' --repair" in result.err
    with pytest.raises(SlipwayError, match=f"--cache '{cache}'"):
        require_complete(MODEL, cache=cache)


def test_hub_server_redirects_a_client_to_the_address_it_used(folder: Path, cache: Path) -> None:
    with serve_folder(folder, host="0.0.0.0", own_storage=False) as hub:
        snapshot = fetch_model(
            MODEL, cache=cache, endpoint=hub.url.replace("0.0.0.0", "127.0.0.1"), policy=QUICK
        )
        hosts = {one.headers["host"].rpartition(":")[0] for one in hub.requests}
    assert (hosts, snapshot.files) == ({"127.0.0.1"}, len(SIZES))


def test_hub_server_leaves_out_names_that_a_hub_does_not_allow(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    for name in (b"good.txt", b"\xff.txt", b"a\\b.txt"):
        Path(str(at) + "/" + name.decode(errors="surrogateescape")).write_text("x")
    with serve_folder(tmp_path / "served") as hub:
        assert fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK).files == 1
