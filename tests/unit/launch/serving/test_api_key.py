"""A key is made once, and only its owner can read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from errors import Failed
from launch.engine import env_file
from launch.serving import api_key


def test_it_is_made_once_and_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    path = api_key.place()
    assert api_key.read(path) == ""
    assert api_key.ensure(path)
    key = api_key.read(path)
    assert (stat.S_IMODE(path.stat().st_mode), len(key) > 40) == (0o600, True)
    assert not api_key.ensure(path)
    assert api_key.read(path) == key
    assert env_file.read(path) == {"VLLM_API_KEY": key, "OPENAI_API_KEY": key}


def test_no_two_are_alike(tmp_path: Path) -> None:
    for name in ("a", "b"):
        api_key.ensure(tmp_path / name)
    assert api_key.read(tmp_path / "a") != api_key.read(tmp_path / "b")


def test_an_open_file_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    api_key.ensure(path)
    path.chmod(0o644)
    api_key.ensure(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_umask_does_not_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        api_key.ensure(tmp_path / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_where_it_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot be kept"):
        api_key.ensure(tmp_path / "file" / "key")


def test_another_users_key_is_a_failure_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.exists", refuse)
    with pytest.raises(Failed, match="cannot be read") as end:
        api_key.read(tmp_path / "api-key.env")
    assert end.value.fix == "ask as the user who started the server"
