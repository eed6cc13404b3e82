from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from errors import Refused
from launch.weights.cache import ModelFolder, cache_folder

SETTINGS = [
    {},
    {"XDG_CACHE_HOME": "/x/cache"},
    {"HF_HOME": "/x/home"},
    {"HF_HOME": "~/home"},
    {"HF_HOME": "/x/home", "XDG_CACHE_HOME": "/x/cache"},
    {"HF_HUB_CACHE": "/x/hub"},
    {"HF_HUB_CACHE": "$HOME/hub", "HF_HOME": "/x/home"},
    {"HUGGINGFACE_HUB_CACHE": "/x/old"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_cache_folder_is_the_same_as_huggingface_hubs(settings: dict[str, str]) -> None:
    environ = {"HOME": "/x/me", "PATH": os.environ["PATH"], **settings}

    def output(code: str) -> str:
        argv = [sys.executable, "-c", code]
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout

    expected = output("from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)")
    assert output("from launch.weights.cache import cache_folder; print(cache_folder())") == expected


def test_model_folder_has_the_layout_of_the_hub_cache() -> None:
    folder = ModelFolder(Path("/hub"), "MiniMaxAI/MiniMax-M2.1")
    assert str(folder.path) == "/hub/models--MiniMaxAI--MiniMax-M2.1"
    assert str(folder.snapshot("c" * 40)) == f"{folder.path}/snapshots/{'c' * 40}"
    assert str(folder.locks) == "/hub/.locks/models--MiniMaxAI--MiniMax-M2.1"
    assert str(folder.manifest("c" * 40)) == f"{folder.path}/manifests/{'c' * 40}.json"


@pytest.mark.parametrize(
    "model", ["", "a", "a/b/c", "../b", "a/..", "a--b/c", "a/b ", "a/b\n", "/a", "a\\b/c"]
)
def test_model_folder_refuses_an_invalid_name(model: str) -> None:
    with pytest.raises(Refused, match="is not a model name"):
        ModelFolder(Path("/hub"), model)


@pytest.mark.parametrize("revision", ["", "../main", "a/../b", "-x", "a b", "main\n", "/etc/passwd"])
def test_commit_refuses_an_invalid_revision(revision: str) -> None:
    with pytest.raises(Refused, match="is not a revision"):
        ModelFolder(Path("/hub"), "a/b").commit(revision)


def test_commit_of_a_branch_is_read_from_its_ref(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "a/b")
    assert folder.commit("c" * 40) == "c" * 40
    assert folder.commit("main") is None
    folder.ref("refs/pr/1").parent.mkdir(parents=True)
    folder.ref("refs/pr/1").write_text("d" * 40 + "\n")
    assert folder.commit("refs/pr/1") == "d" * 40
    folder.ref("main").write_text("nonsense")
    assert folder.commit("main") is None


def test_importing_the_weights_modules_is_fast() -> None:
    code = (
        "import sys; import launch.weights.fetch, launch.weights.verify\n"
        "heavy = {'huggingface_hub', 'httpx2', 'filelock', 'rich', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cache_folder_reads_the_environment_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else")
