"""Where Slipway writes: the XDG folders, one override, and one clear message if a folder cannot be used."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest

from errors import Failed, Refused
from launch import paths


@pytest.fixture
def xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user with XDG folders and without the override."""
    monkeypatch.delenv("SLIPWAY_STATE_DIR", raising=False)
    for kind in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    return tmp_path


@pytest.fixture
def override(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who chose one folder for everything."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path


def test_paths_follow_xdg(xdg: Path) -> None:
    assert paths.state_dir() == xdg / "state" / "slipway"
    assert paths.cache_dir() == xdg / "cache" / "slipway"
    assert paths.config_dir() == xdg / "config" / "slipway"
    assert paths.logs_dir() == xdg / "state" / "slipway" / "results" / "logs"


def test_paths_are_all_below_the_override(override: Path) -> None:
    assert paths.state_dir() == override / "state"
    assert paths.cache_dir() == override / "cache"
    assert paths.config_dir() == override / "config"
    assert paths.results_dir() == override / "state" / "results"


def test_paths_make_a_relative_override_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIPWAY_STATE_DIR", "here")
    assert paths.state_dir() == tmp_path / "here" / "state"


def test_results_dir_is_the_one_the_user_asks_for(
    monkeypatch: pytest.MonkeyPatch, override: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.results_dir("./results") == tmp_path / "results"


def test_paths_create_nothing_until_something_is_written(override: Path) -> None:
    paths.state_dir(), paths.cache_dir(), paths.config_dir(), paths.results_dir()
    assert list(override.iterdir()) == []


def test_writable_creates_the_folder_and_stamps_the_state(override: Path) -> None:
    assert paths.writable(paths.logs_dir()).is_dir()
    assert (override / "state" / "version").read_text() == f"{paths.VERSION}\n"
    assert paths.state_dir() == override / "state"


def test_writable_stamps_the_state_while_others_read_it(override: Path) -> None:
    stamp = override / "state" / "version"
    for _ in range(20):
        with ThreadPoolExecutor(4) as pool:
            folders = list(pool.map(lambda _: paths.writable(paths.logs_dir()), range(8)))
        assert folders == [paths.logs_dir()] * 8
        stamp.unlink()


def test_writable_stamps_only_the_state(override: Path) -> None:
    paths.writable(paths.cache_dir())
    assert [path.name for path in override.rglob("*")] == ["cache"]


def test_writable_fails_if_a_file_is_in_the_way(override: Path) -> None:
    (override / "state").write_text("")
    with pytest.raises(Failed, match="cannot write to") as failure:
        paths.writable(paths.logs_dir())
    assert "SLIPWAY_STATE_DIR" in failure.value.fix


def test_writable_fails_in_a_folder_of_another_user(monkeypatch: pytest.MonkeyPatch, override: Path) -> None:
    if os.geteuid() != 0:
        monkeypatch.setenv("SLIPWAY_STATE_DIR", "/usr")
    as_user = os.geteuid() or 65534
    before = os.geteuid()
    os.seteuid(as_user)
    try:
        with pytest.raises(Failed, match="Permission denied"):
            paths.writable(paths.state_dir())
    finally:
        os.seteuid(before)


def test_writable_fails_in_a_folder_without_write_permission(
    monkeypatch: pytest.MonkeyPatch, override: Path
) -> None:
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # what the kernel answers a user who is not root
    with pytest.raises(Failed) as failure:
        paths.writable(paths.state_dir())
    assert failure.value.why == "Permission denied"


def test_state_dir_refuses_the_state_of_a_newer_slipway(override: Path) -> None:
    paths.writable(paths.state_dir())
    (override / "state" / "version").write_text("99\n")
    with pytest.raises(Refused, match="newer Slipway") as refusal:
        paths.state_dir()
    assert "99" in refusal.value.why
    assert "upgrade" in refusal.value.fix


@pytest.mark.parametrize("text", ["", "two", "1.5"])
def test_state_dir_fails_if_its_version_is_unreadable(override: Path, text: str) -> None:
    paths.writable(paths.state_dir())
    (override / "state" / "version").write_text(text)
    with pytest.raises(Failed, match="version") as failure:
        paths.state_dir()
    assert failure.value.fix.startswith("rm ")


@pytest.mark.parametrize("answer", ["~/.local/state/slipway", None])
def test_paths_refuse_an_unknown_home(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """What platformdirs does without HOME and passwd entry: older releases return ~, newer ones raise."""

    def find(*args: object, **kwargs: object) -> Path:
        if answer is None:
            raise RuntimeError("could not determine the home directory")
        return Path(answer)

    monkeypatch.delenv("SLIPWAY_STATE_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_state_path", find)
    with pytest.raises(Refused, match="home directory") as refusal:
        paths.state_dir()
    assert "SLIPWAY_STATE_DIR" in refusal.value.fix
