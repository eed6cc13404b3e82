"""The served folder against the stock client: what huggingface_hub asks, it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import Fault, serve_folder

from .conftest import MODEL, SIZES


def test_stock_snapshot_download_gets_every_byte(
    folder: Path, cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        assert_whole(Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url)))


def test_what_it_says_of_a_model(folder: Path, commit: str) -> None:
    with serve_folder(folder) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        info = api.model_info(MODEL)
        assert (info.id, info.sha) == (MODEL, commit)
        assert {one.rfilename for one in info.siblings or ()} == set(SIZES)
        assert sorted(api.list_repo_files(MODEL)) == sorted(SIZES)
        assert api.whoami()["name"] == "slipway"


def test_the_commit_follows_from_the_content(tmp_path: Path) -> None:
    commits = set()
    for name, text in (("first", "a"), ("second", "a"), ("third", "b")):
        (tmp_path / name / MODEL).mkdir(parents=True)
        (tmp_path / name / MODEL / "config.json").write_text(text)
        with serve_folder(tmp_path / name) as hub:
            commits.add(HfApi(endpoint=hub.url).model_info(MODEL).sha)
    assert len(commits) == 2


def test_the_licence_of_the_card_reaches_the_client(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / MODEL)
    with serve_folder(tmp_path) as hub:
        assert "license:mit" in (HfApi(endpoint=hub.url).model_info(MODEL).tags or [])


def test_a_refusal_is_the_hubs_own(folder: Path) -> None:
    gated = Fault("status", "info", match="*", status=403, headers=(("X-Error-Code", "GatedRepo"),))
    with serve_folder(folder, token="secret") as hub:
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=False).model_info(MODEL)
        api = HfApi(endpoint=hub.url, token="secret")
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("harbour/frigate")
        with pytest.raises(RevisionNotFoundError):
            api.model_info(MODEL, revision="v9")
    with serve_folder(folder, faults=(gated,)) as hub, pytest.raises(GatedRepoError):
        HfApi(endpoint=hub.url).model_info(MODEL)


def test_a_link_out_of_the_folder_is_not_served(tmp_path: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("not for others")
    (at / "config.json").write_text("{}")
    (at / "leak.txt").symlink_to(tmp_path / "secret.txt")
    (at / ".git").mkdir()
    (at / ".git" / "config").write_text("not for others")
    with serve_folder(tmp_path / "served") as hub:
        assert HfApi(endpoint=hub.url).list_repo_files(MODEL) == ["config.json"]
