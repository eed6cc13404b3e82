from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Failed
from launch.weights.hashing import Digest
from launch.weights.manifest import MOST_FILES, Entry, Manifest, checked, load, parse, save

SHA256 = "ab" * 32
GIT = "cd" * 20


def manifest(*entries: Entry) -> Manifest:
    return Manifest("a/b", "main", "c" * 40, entries, "mit", "https://hub.example")


def test_load_returns_what_save_wrote(tmp_path: Path) -> None:
    written = manifest(
        Entry("config.json", 7, GIT), Entry("x/model.safetensors", 9, SHA256, SHA256, wanted=False)
    )
    path = tmp_path / "m" / f"{written.commit}.json"
    save(written, path)
    assert load(path) == written
    assert list(path.parent.iterdir()) == [path]


def test_load_returns_none_for_a_missing_file(tmp_path: Path) -> None:
    assert load(tmp_path / "c.json") is None


@given(st.binary(max_size=60))
def test_parse_refuses_random_bytes(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, Failed)):
        parse(data)


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "{}", '{"format": 1}', '{"format": 1, "entries": [{"path": 5}]}']
)
def test_parse_refuses_other_json(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse(text.encode())


def test_size_counts_wanted_files() -> None:
    assert manifest(Entry("a", 7, GIT), Entry("b", 9, SHA256, wanted=False)).size == 7


@given(
    st.lists(st.sampled_from(["..", ".", "", "a", "b.txt", "/", "\\", "\x00", "~"]), min_size=1).map("/".join)
)
def test_checked_names_stay_in_the_snapshot_folder(name: str) -> None:
    try:
        checked(manifest(Entry(name, 1, GIT)))
    except Failed:
        return
    path = PurePosixPath("/snapshot") / name
    assert ".." not in path.parts
    assert path.is_relative_to("/snapshot") and path != PurePosixPath("/snapshot")


def test_checked_refuses_a_file_that_is_also_a_folder() -> None:
    with pytest.raises(Failed, match="refused the file name 'a/b'"):
        checked(manifest(Entry("a", 1, GIT), Entry("a/b", 1, GIT)))


def test_checked_limits_the_bytes_of_a_name() -> None:
    checked(manifest(Entry("/".join(["x" * 90] * 10), 1, GIT)))
    with pytest.raises(Failed, match="refused"):
        checked(manifest(Entry("/".join(["\U0001f600" * 60] * 10), 1, GIT)))


@pytest.mark.parametrize("blob", ["", "../x", "AB" * 20, "ab" * 21, SHA256 + "\n"])
def test_checked_refuses_an_invalid_hash(blob: str) -> None:
    with pytest.raises(Failed, match="refused"):
        checked(manifest(Entry("a", 1, blob)))


def test_checked_refuses_too_many_files_and_an_invalid_commit() -> None:
    endless = (Entry(f"{number}", 1, GIT) for number in range(MOST_FILES + 1))
    with pytest.raises(Failed, match="more than"):
        checked(manifest(*endless))
    with pytest.raises(Failed, match="no valid commit"):
        checked(replace(manifest(), commit="../../main"))


def test_digest_matches_large_files_by_sha256() -> None:
    data = b"weights"
    digest = Digest(Entry("m", len(data), hashlib.sha256(data).hexdigest()))
    digest.update(data[:3])
    assert not digest.matches()
    digest.update(data[3:])
    assert digest.matches()


def test_digest_matches_small_files_by_gits_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"{}")
    git = subprocess.run(
        ["git", "hash-object", str(tmp_path / "f")], capture_output=True, text=True, check=True
    )
    digest = Digest(Entry("f", 2, git.stdout.strip()))
    digest.update(b"{}")
    assert digest.matches()
    assert digest.sha256 == hashlib.sha256(b"{}").hexdigest()
