"""A served folder with the stock huggingface_hub client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from launch.demo.tiny_checkpoint import write_checkpoint
from tests.hub.conftest import MODEL, SIZES
from tests.hub.faults import Fault, serve_folder


@pytest.mark.parametrize("own_storage", [False, True], ids=["one port", "large files on another port"])
def test_snapshot_download_gets_every_file(
    own_storage: bool, folder: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder, own_storage=own_storage) as hub:
        assert_complete(Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url)))


def test_api_returns_a_models_facts(folder: Path, commit: str) -> None:
    with serve_folder(folder) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        info = api.model_info(MODEL)
        assert (info.id, info.sha) == (MODEL, commit)
        assert {one.rfilename for one in info.siblings or ()} == set(SIZES)
        assert sorted(api.list_repo_files(MODEL)) == sorted(SIZES)
        assert api.whoami()["name"] == "slipway"


def test_the_commit_depends_on_the_content(tmp_path: Path) -> None:
    commits = set()
    for name, text in (("first", "a"), ("second", "a"), ("third", "b")):
        (tmp_path / name / MODEL).mkdir(parents=True)
        (tmp_path / name / MODEL / "config.json").write_text(text)
        with serve_folder(tmp_path / name) as hub:
            commits.add(HfApi(endpoint=hub.url).model_info(MODEL).sha)
    assert len(commits) == 2


def test_api_returns_the_licence_of_the_model_card(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / MODEL)
    with serve_folder(tmp_path) as hub:
        assert "license:apache-2.0" in (HfApi(endpoint=hub.url).model_info(MODEL).tags or [])


def test_refusals_have_the_hubs_error_codes(folder: Path) -> None:
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


def test_links_out_of_the_folder_and_hidden_files_are_not_served(tmp_path: Path) -> None:
    model = tmp_path / "served" / MODEL
    model.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("not for others")
    (model / "config.json").write_text("{}")
    (model / "leak.txt").symlink_to(tmp_path / "secret.txt")
    (model / ".git").mkdir()
    (model / ".git" / "config").write_text("not for others")
    with serve_folder(tmp_path / "served") as hub:
        assert HfApi(endpoint=hub.url).list_repo_files(MODEL) == ["config.json"]
