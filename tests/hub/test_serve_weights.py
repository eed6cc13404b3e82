"""What serve-weights serves: a cache, a folder, a download; and files that change while they are served."""

from __future__ import annotations

import http.client
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from errors import Refused
from launch.hub_server import file_hashes
from launch.hub_server.catalog import Catalog, require_models
from launch.hub_server.file_hashes import FileHashes
from launch.hub_server.routes import Request, ServedHub
from launch.weights.cache import ModelFolder
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import serve_folder

UPSTREAM = "5" * 40


@pytest.fixture
def upstream_cache(folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]) -> Path:
    """A cache with MODEL at a commit that is not derived from its content."""
    with serve_folder(folder) as hub:
        fetch(hub.url)
    cache = tmp_path / "cache"
    model = ModelFolder(cache, MODEL)
    (old,) = (model.path / "snapshots").iterdir()
    old.rename(model.snapshot(UPSTREAM))
    manifest = model.manifest(old.name)
    model.manifest(UPSTREAM).write_text(manifest.read_text().replace(old.name, UPSTREAM))
    manifest.unlink()
    model.ref("main").write_text(UPSTREAM)
    return cache


def no_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which a file is hashed."""

    def read(self: FileHashes, file: int, size: int) -> tuple[str, str]:
        raise AssertionError("a file was hashed")

    monkeypatch.setattr(file_hashes.FileHashes, "_read", read)


def test_a_cache_is_served_with_the_commit_of_its_source_and_without_hashing(
    upstream_cache: Path,
    tmp_path: Path,
    assert_complete: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_hashing(monkeypatch)
    with serve_folder(upstream_cache) as hub:
        mine = fetch_model(MODEL, revision=UPSTREAM, cache=tmp_path / "b", endpoint=hub.url, policy=QUICK)
        theirs = snapshot_download(MODEL, revision=UPSTREAM, cache_dir=tmp_path / "c", endpoint=hub.url)
        main = HfApi(endpoint=hub.url).model_info(MODEL)
    assert (mine.commit, Path(theirs).name, main.sha) == (UPSTREAM, UPSTREAM, UPSTREAM)
    assert_complete(mine.path)
    assert_complete(Path(theirs))


def test_a_cache_that_hf_filled_is_served_without_hashing(
    folder: Path, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_folder(folder) as hub:
        snapshot_download(MODEL, cache_dir=tmp_path / "hf", endpoint=hub.url)
    no_hashing(monkeypatch)
    (note,) = Catalog(tmp_path / "hf").read(MODEL).repositories[commit].problems
    assert "never verified on this host: invoke verify harbour/dinghy --deep" in note
    with serve_folder(tmp_path / "hf") as hub:
        assert fetch_model(MODEL, cache=tmp_path / "b", endpoint=hub.url, policy=QUICK).commit == commit


def test_a_file_of_a_cache_that_was_changed_is_listed_and_not_served(
    upstream_cache: Path, tmp_path: Path
) -> None:
    blob = (ModelFolder(upstream_cache, MODEL).snapshot(UPSTREAM) / BIG).resolve()
    with blob.open("r+b") as stream:
        stream.write(b"another")
    with serve_folder(upstream_cache) as hub:
        assert BIG in HfApi(endpoint=hub.url).list_repo_files(MODEL)
        with pytest.raises(EntryNotFoundError):
            hf_hub_download(MODEL, BIG, cache_dir=tmp_path / "b", endpoint=hub.url)
        assert hf_hub_download(MODEL, "config.json", cache_dir=tmp_path / "b", endpoint=hub.url)


def replace_by_a_shorter_file(path: Path) -> None:
    path.with_name("new").write_bytes(b"x" * 135)
    path.with_name("new").rename(path)


def write_into(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"another")


def delete(path: Path) -> None:
    path.unlink()


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to change."""
    return Path(shutil.copytree(folder, tmp_path / "served"))


@pytest.mark.parametrize("change", [replace_by_a_shorter_file, write_into, delete])
@pytest.mark.parametrize("name", [BIG, "config.json"])
def test_stock_hf_gets_an_error_for_a_file_that_was_changed_after_its_listing(
    name: str, change: Callable[[Path], None], served: Path, commit: str, tmp_path: Path
) -> None:
    with serve_folder(served) as hub:
        HfApi(endpoint=hub.url).model_info(MODEL)
        change(served / MODEL / name)
        with pytest.raises(Exception, match="404"):
            hf_hub_download(MODEL, name, revision=commit, cache_dir=tmp_path / "hf", endpoint=hub.url)
    assert not list((tmp_path / "hf").glob("models--*/snapshots/*/*"))


@pytest.mark.parametrize("change", [write_into, lambda path: os.truncate(path, 135)])
def test_the_connection_is_cut_if_a_file_is_written_to_while_it_is_sent(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    path, size = tmp_path / MODEL / "model.safetensors", 64 << 20
    path.parent.mkdir(parents=True)
    path.touch()
    os.truncate(path, size)
    with serve_folder(tmp_path, own_storage=False) as hub:
        connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=20)
        connection.request("GET", f"/{MODEL}/resolve/main/model.safetensors")
        response = connection.getresponse()
        assert response.read(1 << 20)
        change(path)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
        connection.close()


def test_changed_content_is_served_at_a_new_commit(served: Path, commit: str, tmp_path: Path) -> None:
    catalog = Catalog(served)
    before = catalog.read(MODEL)
    (served / MODEL / "config.json").write_text("{}")
    after = catalog.read(MODEL)
    assert before.at("main") is before.at(commit)
    assert after.at(commit) is None


def test_hashes_are_kept_by_the_state_of_a_file(served: Path, tmp_path: Path) -> None:
    store, read = tmp_path / "store.json", list[int]()
    for content, expected in (("", sum(SIZES.values())), ("", 0), ("{}", 2)):
        if content:
            (served / MODEL / "config.json").write_text(content)
        Catalog(served, FileHashes(store, read.append)).read(MODEL)
        assert sum(read) == expected
        read.clear()


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "[" * 100_000])
def test_a_store_that_is_not_valid_is_made_again(text: str, tmp_path: Path) -> None:
    (tmp_path / "store").write_text(text)
    (tmp_path / "file").write_text("x")
    hashes = FileHashes(tmp_path / "store")
    assert len(hashes.of(tmp_path / "file").sha256) == 64
    hashes.save()
    assert FileHashes(tmp_path / "store")._known


def test_the_routes_of_the_stock_client(upstream_cache: Path) -> None:
    with serve_folder(upstream_cache) as hub:
        api = HfApi(endpoint=hub.url)
        assert [one.path for one in api.list_repo_tree(MODEL, recursive=False)] == [
            *("config.json", "empty.txt", BIG, "model-00002-of-00003.safetensors"),
            *("model-00003-of-00003.safetensors", "nested"),
        ]
        assert [one.path for one in api.list_repo_tree(MODEL, "nested")] == ["nested/deeper"]
        assert [one.path for one in api.list_repo_tree(MODEL, "nested", recursive=True)] == [
            *("nested/deeper", "nested/deeper/notes.txt")
        ]
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree(MODEL, "nothing"))
        assert [(one.name, one.target_commit) for one in api.list_repo_refs(MODEL).branches] == [
            ("main", UPSTREAM)
        ]
        assert [one.commit_id for one in api.list_repo_commits(MODEL)] == [UPSTREAM]
        paths = api.get_paths_info(MODEL, ["config.json", "nested", "nothing"])
        assert [one.path for one in paths] == ["config.json", "nested"]
        sizes = api.model_info(MODEL, files_metadata=True).siblings or []
        assert {one.rfilename: one.size for one in sizes} == SIZES
        assert [one.id for one in api.list_models()] == [MODEL]
        assert list(api.list_models(search="nothing")) == []


def test_a_folder_of_links_out_of_it_is_named(tmp_path: Path, upstream_cache: Path) -> None:
    snapshot = ModelFolder(upstream_cache, MODEL).snapshot(UPSTREAM)
    (tmp_path / "links" / MODEL).mkdir(parents=True)
    (tmp_path / "links" / MODEL / "config.json").symlink_to(snapshot / "config.json")
    (line,) = Catalog(tmp_path / "links").read(MODEL).at("main").problems  # type: ignore[union-attr]
    assert line.startswith("config.json is a link out of the folder, to ")
    with (
        serve_folder(tmp_path / "links") as hub,
        pytest.raises(RepositoryNotFoundError, match="is a link out of the folder"),
    ):
        HfApi(endpoint=hub.url).model_info(MODEL)


def test_a_git_lfs_pointer_is_named_and_not_served(served: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
    (served / MODEL / BIG).write_text(pointer)
    repository = Catalog(served).read(MODEL).at("main")
    assert repository and repository.problems == (
        f"{BIG} is a Git LFS pointer instead of the file: run `git lfs pull` there",
    )


def test_a_local_dir_download_is_served_with_its_commit(
    upstream_cache: Path, tmp_path: Path, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(upstream_cache) as hub:
        snapshot_download(MODEL, local_dir=tmp_path / "served" / MODEL, endpoint=hub.url)
    with serve_folder(tmp_path / "served") as hub:
        snapshot = fetch_model(MODEL, cache=tmp_path / "b", endpoint=hub.url, policy=QUICK)
    assert snapshot.commit == UPSTREAM
    assert_complete(snapshot.path)


def test_a_folder_without_models_is_refused_with_what_to_do(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="has no models"):
        require_models(tmp_path / "empty")
    with pytest.raises(Refused, match="is one model") as refused:
        require_models(folder / MODEL)
    assert refused.value.fix.startswith("mkdir -p served/ORGANIZATION && ln -s ")
    assert require_models(folder) == folder


def test_a_request_for_files_that_are_being_hashed_is_asked_to_come_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = threading.Event()
    monkeypatch.setattr("launch.hub_server.catalog.LONGEST_WAIT", 0.01)
    monkeypatch.setattr(Catalog, "_read", lambda self, name: hashed.wait(20))
    hub = ServedHub(Catalog(folder).find, "")
    answer = hub.answer(Request("GET", f"/api/models/{MODEL}", {}))
    hashed.set()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert b"are being hashed" in bytes(answer.body)  # type: ignore[arg-type]
