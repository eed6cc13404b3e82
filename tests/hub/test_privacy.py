"""The token goes to the Hub and nowhere else: no other host, no file but its own, no line of output."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve_folder
from tests.invocation import ROOT, invoke

from .conftest import MODEL

TOKEN = "hf_ThisMustNotBeSeenAnywhere"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An HF_HOME of the test's own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def holds_token(folder: Path) -> list[str]:
    files = (at for at in folder.rglob("*") if at.is_file())
    return [at.name for at in files if TOKEN.encode() in at.read_bytes()]


def test_the_token_stays_with_the_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve_folder(folder, token=TOKEN) as hub:
        fetch(hub.url)
        stored = [request for request in hub.requests if request.target.startswith("/storage")]
        asked = [request for request in hub.requests if request.target.startswith("/harbour")]
    assert asked and all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in asked)
    assert stored and not [request for request in stored if "authorization" in request.headers]
    assert not [request for request in hub.requests if TOKEN in request.target]


def test_log_in_fetch_bundle_and_look_for_the_token_everywhere(
    folder: Path, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN + "\n")
    bundle = tmp_path / "dinghy.tar"
    with serve_folder(folder, token=TOKEN) as hub:
        environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)}
        said = [
            invoke("login", "--token-file", str(file), **environ).ok(),
            invoke("fetch", "--model", MODEL, "--bundle", str(bundle), "--format", "json", **environ).ok(),
            invoke("verify", "--model", MODEL, "--deep", **environ).ok(),
        ]
    file.unlink()
    assert TOKEN not in "".join(one.out + one.err for one in said)
    assert sorted(holds_token(tmp_path)) == ["stored_tokens", "token"]
    for name in ("token", "stored_tokens"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_a_token_that_the_hub_does_not_know(folder: Path, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN)
    with serve_folder(folder, token="another") as hub:
        said = invoke("login", "--token-file", str(file), HF_ENDPOINT=hub.url, HF_HOME=str(home))
    assert said.code == 1
    assert "does not know this token" in said.err
    assert TOKEN not in said.out + said.err
    assert not home.exists() or not holds_token(home)


def test_without_a_terminal_login_asks_for_a_file(home: Path) -> None:
    command = [sys.executable, "-m", "invoke", "login"]
    said = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert said.returncode == 2
    assert "--token-file" in said.stderr


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "t\u00f6ken"])
def test_what_is_no_token(text: str, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(text)
    said = invoke("login", "--token-file", str(file), HF_HOME=str(home))
    assert (said.code, "that is no token" in said.err) == (2, True)


def test_a_token_that_expires_on_the_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    gone = Fault("status", "resolve", match="model-*", status=401)
    with (
        serve_folder(folder, token=TOKEN, faults=(gone,)) as hub,
        pytest.raises(SlipwayError, match="does not take the token") as raised,
    ):
        fetch(hub.url)
    assert "invoke login" in raised.value.fix
    assert TOKEN not in str(raised.value)


def test_a_stored_token_that_cannot_be_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_\u00e4")
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="no token has"):
        fetch(hub.url)
