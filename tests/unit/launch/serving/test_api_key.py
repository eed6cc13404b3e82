"""Create an API key once, readable by its owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from errors import Failed
from launch.engine import env_file
from launch.serving import api_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_ensure_key_creates_a_key_once_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    path = api_key.key_file()
    assert api_key.read_key(path) == ""
    assert api_key.ensure_key(path)
    key = api_key.read_key(path)
    assert (mode(path), len(key) > 40) == (0o600, True)
    assert not api_key.ensure_key(path)
    assert api_key.read_key(path) == key
    assert env_file.read(path) == {"VLLM_API_KEY": key, "OPENAI_API_KEY": key}


def test_ensure_key_creates_different_keys(tmp_path: Path) -> None:
    for name in ("a", "b"):
        api_key.ensure_key(tmp_path / name)
    assert api_key.read_key(tmp_path / "a") != api_key.read_key(tmp_path / "b")


def test_ensure_key_restricts_the_mode_of_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    api_key.ensure_key(path)
    path.chmod(0o644)
    api_key.ensure_key(path)
    assert mode(path) == 0o600


def test_ensure_key_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        api_key.ensure_key(tmp_path / "key")
    finally:
        os.umask(before)
    assert mode(tmp_path / "key") == 0o600


def test_ensure_key_fails_if_the_folder_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot store the API key"):
        api_key.ensure_key(tmp_path / "file" / "key")


def test_read_key_fails_for_the_key_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.exists", refuse)
    with pytest.raises(Failed, match="cannot read") as failed:
        api_key.read_key(tmp_path / "api-key.env")
    assert failed.value.fix == "run this as the user who started the server"
