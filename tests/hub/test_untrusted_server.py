"""A malicious server: names that leave the cache, endless listings, hashes that are paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import scan_cache_dir

from errors import SlipwayError
from launch.http.retry import RetryPolicy
from launch.hub_server.model_folder import read_repository
from launch.hub_server.repository import Repository, ServedFile
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import MODEL
from tests.hub.faults import Fault, serve, serve_folder

NAMES = (
    "../../x",
    "/etc/cron.d/x",
    "a/../../../x",
    "./x",
    "a//x",
    "a/",
    "..",
    "a\\..\\x",
    "x\n",
    "x\x1b[2J",
    "x\u202egpj.exe",
    "config.json/x",
    "n" * 300,
    "/".join(["\N{GRINNING FACE}" * 60] * 6),  # 366 characters, and too many bytes for a path below a cache
)


@dataclass(frozen=True)
class Hostile(Repository):
    """A repository of invalid files, so that its commit cannot be computed from them."""

    @property
    def commit(self) -> str:
        return "c" * 40

    @property
    def licence(self) -> str:
        return "mit"


def all_paths(folder: Path) -> list[str]:
    return sorted(str(at.relative_to(folder)) for at in folder.rglob("*"))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_fetch_refuses_an_invalid_file_name(
    name: str, folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]
) -> None:
    honest = read_repository(folder, MODEL)
    bad = replace(honest.by_path["config.json"], path=name)
    with serve(lambda model: Hostile(MODEL, (*honest.files, bad))) as hub:
        with pytest.raises(SlipwayError, match="refused the file name"):
            fetch(hub.url)
        assert not [request for request in hub.requests if "resolve" in request.target]
    assert all_paths(tmp_path) == []


@pytest.mark.parametrize("blob", ["../../x", "", "A" * 40, "a" * 41])
def test_fetch_refuses_an_invalid_hash(
    blob: str, folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]
) -> None:
    bad = replace(read_repository(folder, MODEL).by_path["config.json"], blob_id=blob)
    with (
        serve(lambda model: Hostile(MODEL, (bad,))) as hub,
        pytest.raises(SlipwayError, match="hash or size"),
    ):
        fetch(hub.url)
    assert all_paths(tmp_path) == []


NOWHERE = Path("/dev/null")


class Endless(Sequence[ServedFile]):
    """A million files that do not exist."""

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return ServedFile(f"part-{index:07d}.txt", NOWHERE, 1, "a" * 40, "b" * 64)


def test_fetch_refuses_a_listing_of_a_million_files(tmp_path: Path, fetch: Callable[..., Snapshot]) -> None:
    with serve(lambda model: Hostile(MODEL, Endless())) as hub:
        with pytest.raises(SlipwayError, match="more than 100000 files"):
            fetch(hub.url, policy=RetryPolicy())
        assert len(hub.requests) < 110, "it stopped at the limit"
    assert all_paths(tmp_path) == []


def test_fetch_refuses_a_name_listed_twice(folder: Path, fetch: Callable[..., Snapshot]) -> None:
    honest = read_repository(folder, MODEL)
    twice = Hostile(MODEL, (*honest.files, honest.files[0]))
    with serve(lambda model: twice) as hub, pytest.raises(SlipwayError, match="names a file twice"):
        fetch(hub.url)


@pytest.mark.parametrize("address", ["ftp://hub.example", "hub.example", "/hub"])
def test_fetch_refuses_an_endpoint_of_another_scheme(address: str, fetch: Callable[..., Snapshot]) -> None:
    with pytest.raises(SlipwayError, match="is not a URL") as error:
        fetch(address)
    assert error.value.code == 2


def test_fetch_refuses_a_cache_that_is_a_file(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]
) -> None:
    (tmp_path / "file").write_text("mine")
    with serve(lambda model: None) as hub, pytest.raises(SlipwayError, match="is not a folder"):
        fetch(hub.url, cache=tmp_path / "file")


@pytest.mark.parametrize("model", ["../x", "a/../b", "a", "a/b/c", "a--b/c", "a/b\n", "-a/b", ""])
def test_fetch_refuses_an_invalid_model_name(model: str, cache: Path) -> None:
    with pytest.raises(SlipwayError, match="is not a model name") as error:
        fetch_model(model, cache=cache, endpoint="http://127.0.0.1:9")
    assert error.value.code == 2


@pytest.mark.parametrize(
    "address",
    ["http://h:99999", "http://h:x", "http://[::1", "http://a b", "http://", "http://h?x=1", "http://h/#x"],
)
def test_fetch_refuses_an_invalid_endpoint(address: str, fetch: Callable[..., Snapshot]) -> None:
    with pytest.raises(SlipwayError, match="is not a URL") as error:
        fetch(address)
    assert error.value.code == 2


def test_fetch_fails_for_an_empty_file_with_the_wrong_hash(
    folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    honest = read_repository(folder, MODEL)
    others = [file for file in honest.files if file.path != "empty.txt"]
    bad = replace(honest.by_path["empty.txt"], blob_id="a" * 40)
    with (
        serve(lambda model: Hostile(MODEL, (*others, bad))) as hub,
        pytest.raises(SlipwayError, match=r"wrong content: empty\.txt"),
    ):
        fetch(hub.url)


def test_fetch_accepts_unusual_names(tmp_path: Path, cache: Path) -> None:
    names = [
        "\u044e" * 125,
        "a" * 250,
        "sp ace+%20?#&=;.txt",
        "README.md",
        "readme.md",
        "-rf",
        "$(id)`'\"",
        "[x]*",
    ]
    for name in names:
        path = tmp_path / "unusual" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    with serve_folder(tmp_path / "unusual") as hub:
        snapshot = fetch_model(MODEL, cache=cache, endpoint=hub.url)
    assert {at.name: at.read_text() for at in snapshot.path.iterdir()} == {name: name for name in names}
    assert not scan_cache_dir(cache).warnings


def test_fetch_stores_and_shows_no_password_of_the_endpoint(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        fetch(hub.url.replace("://", "://me:secret@"))
    assert "secret" not in next(cache.glob("models--*/manifests/*.json")).read_text()
    with pytest.raises(SlipwayError) as error:
        fetch("http://me:secret@127.0.0.1:9")
    assert "secret" not in str(error.value)


def test_fetch_refuses_another_commit_than_the_requested_one(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    other = b'{"id": "a/b", "sha": "' + b"d" * 40 + b'"}'
    faults = (Fault("status", "info", status=200, body=other),)
    with (
        serve_folder(folder, faults=faults) as hub,
        pytest.raises(SlipwayError, match="not what the server has"),
    ):
        fetch(hub.url, revision="e" * 40)
    assert not list(cache.rglob("*"))
