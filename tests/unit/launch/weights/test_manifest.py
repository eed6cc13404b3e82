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


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = manifest(
        Entry("config.json", 7, GIT), Entry("x/model.safetensors", 9, SHA256, SHA256, wanted=False)
    )
    at = tmp_path / "m" / f"{written.commit}.json"
    save(written, at)
    assert load(at) == written
    assert list(at.parent.iterdir()) == [at]


def test_where_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "c.json") is None


@given(st.binary(max_size=60))
def test_noise_is_never_a_manifest(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, Failed)):
        parse(data)


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "{}", '{"format": 1}', '{"format": 1, "entries": [{"path": 5}]}']
)
def test_json_that_is_no_manifest(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse(text.encode())


def test_the_size_counts_what_is_wanted() -> None:
    assert manifest(Entry("a", 7, GIT), Entry("b", 9, SHA256, wanted=False)).size == 7


@given(
    st.lists(st.sampled_from(["..", ".", "", "a", "b.txt", "/", "\\", "\x00", "~"]), min_size=1).map("/".join)
)
def test_a_name_that_passes_stays_in_its_folder(name: str) -> None:
    try:
        checked(manifest(Entry(name, 1, GIT)))
    except Failed:
        return
    path = PurePosixPath("/snapshot") / name
    assert ".." not in path.parts
    assert path.is_relative_to("/snapshot") and path != PurePosixPath("/snapshot")


def test_a_file_that_is_also_a_folder() -> None:
    with pytest.raises(Failed, match="refused the file name 'a/b'"):
        checked(manifest(Entry("a", 1, GIT), Entry("a/b", 1, GIT)))


def test_the_length_of_a_name_is_its_bytes() -> None:
    checked(manifest(Entry("/".join(["x" * 90] * 10), 1, GIT)))
    with pytest.raises(Failed, match="refused"):
        checked(manifest(Entry("/".join(["\U0001f600" * 60] * 10), 1, GIT)))


@pytest.mark.parametrize("blob", ["", "../x", "AB" * 20, "ab" * 21, SHA256 + "\n"])
def test_a_hash_that_is_none(blob: str) -> None:
    with pytest.raises(Failed, match="refused"):
        checked(manifest(Entry("a", 1, blob)))


def test_too_many_files_and_no_commit() -> None:
    endless = (Entry(f"{number}", 1, GIT) for number in range(MOST_FILES + 1))
    with pytest.raises(Failed, match="more than"):
        checked(manifest(*endless))
    with pytest.raises(Failed, match="no commit"):
        checked(replace(manifest(), commit="../../main"))


def test_large_files_are_proven_by_sha256() -> None:
    data = b"weights"
    digest = Digest(Entry("m", len(data), hashlib.sha256(data).hexdigest()))
    digest.update(data[:3])
    assert not digest.proves()
    digest.update(data[3:])
    assert digest.proves()


def test_small_files_are_proven_as_git_does(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"{}")
    named = subprocess.run(
        ["git", "hash-object", str(tmp_path / "f")], capture_output=True, text=True, check=True
    )
    digest = Digest(Entry("f", 2, named.stdout.strip()))
    digest.update(b"{}")
    assert digest.proves()
    assert digest.sha256 == hashlib.sha256(b"{}").hexdigest()
