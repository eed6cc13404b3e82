"""The token goes to the Hub only: not to another host, to another file, or into output."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import MODEL
from tests.hub.faults import Fault, serve_folder
from tests.invocation import ROOT, invoke

TOKEN = "hf_ThisMustNotBeSeenAnywhere"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set HF_HOME to a folder of the test."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def files_with_token(folder: Path) -> list[str]:
    files = (at for at in folder.rglob("*") if at.is_file())
    return [at.name for at in files if TOKEN.encode() in at.read_bytes()]


def test_fetch_sends_the_token_to_the_hub_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve_folder(folder, token=TOKEN) as hub:
        fetch(hub.url)
        to_storage = [request for request in hub.requests if request.target.startswith("/storage")]
        to_hub = [request for request in hub.requests if request.target.startswith("/harbour")]
    assert to_hub and all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in to_hub)
    assert to_storage and not [request for request in to_storage if "authorization" in request.headers]
    assert not [request for request in hub.requests if TOKEN in request.target]


def test_login_fetch_and_verify_store_the_token_in_its_files_only(
    folder: Path, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN + "\n")
    bundle = tmp_path / "dinghy.tar"
    with serve_folder(folder, token=TOKEN) as hub:
        environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)}
        results = [
            invoke("login", "--token-file", str(file), **environ).ok(),
            invoke("fetch", "--model", MODEL, "--bundle", str(bundle), "--format", "json", **environ).ok(),
            invoke("verify", "--model", MODEL, "--deep", **environ).ok(),
        ]
    file.unlink()
    assert TOKEN not in "".join(one.out + one.err for one in results)
    assert sorted(files_with_token(tmp_path)) == ["stored_tokens", "token"]
    for name in ("token", "stored_tokens"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_login_fails_for_an_unknown_token(folder: Path, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN)
    with serve_folder(folder, token="another") as hub:
        result = invoke("login", "--token-file", str(file), HF_ENDPOINT=hub.url, HF_HOME=str(home))
    assert result.code == 1
    assert "does not know this token" in result.err
    assert TOKEN not in result.out + result.err
    assert not home.exists() or not files_with_token(home)


def test_login_without_a_terminal_requires_a_file(home: Path) -> None:
    command = [sys.executable, "-m", "invoke", "login"]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 2
    assert "--token-file" in result.stderr


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "t\u00f6ken"])
def test_login_refuses_an_invalid_token(text: str, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(text)
    result = invoke("login", "--token-file", str(file), HF_HOME=str(home))
    assert (result.code, "the token is not valid" in result.err) == (2, True)


def test_fetch_explains_a_token_that_expires_in_between(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    expired = Fault("status", "resolve", match="model-*", status=401)
    with (
        serve_folder(folder, token=TOKEN, faults=(expired,)) as hub,
        pytest.raises(SlipwayError, match="does not accept the token") as error,
    ):
        fetch(hub.url)
    assert "invoke login" in error.value.fix
    assert TOKEN not in str(error.value)


def test_fetch_refuses_a_token_with_invalid_characters(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_\u00e4")
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="invalid characters"):
        fetch(hub.url)
