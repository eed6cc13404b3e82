from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from errors import Refused
from launch.weights.cache import Place, cache_folder

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
def test_the_cache_is_where_huggingface_hub_has_it(settings: dict[str, str]) -> None:
    environ = {"HOME": "/x/me", "PATH": os.environ["PATH"], **settings}
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    theirs = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    code = "from launch.weights.cache import cache_folder; print(cache_folder())"
    ours = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert ours.stdout == theirs.stdout


def test_the_layout() -> None:
    place = Place(Path("/hub"), "MiniMaxAI/MiniMax-M2.1")
    assert str(place.folder) == "/hub/models--MiniMaxAI--MiniMax-M2.1"
    assert str(place.snapshot("c" * 40)) == f"{place.folder}/snapshots/{'c' * 40}"
    assert str(place.locks) == "/hub/.locks/models--MiniMaxAI--MiniMax-M2.1"
    assert str(place.manifest("c" * 40)) == f"{place.folder}/manifests/{'c' * 40}.json"


@pytest.mark.parametrize(
    "model", ["", "a", "a/b/c", "../b", "a/..", "a--b/c", "a/b ", "a/b\n", "/a", "a\\b/c"]
)
def test_what_is_no_model(model: str) -> None:
    with pytest.raises(Refused, match="is not a model"):
        Place(Path("/hub"), model)


@pytest.mark.parametrize("revision", ["", "../main", "a/../b", "-x", "a b", "main\n", "/etc/passwd"])
def test_what_is_no_revision(revision: str) -> None:
    with pytest.raises(Refused, match="is not a revision"):
        Place(Path("/hub"), "a/b").commit(revision)


def test_the_commit_of_a_revision(tmp_path: Path) -> None:
    place = Place(tmp_path, "a/b")
    assert place.commit("c" * 40) == "c" * 40
    assert place.commit("main") is None
    place.ref("refs/pr/1").parent.mkdir(parents=True)
    place.ref("refs/pr/1").write_text("d" * 40 + "\n")
    assert place.commit("refs/pr/1") == "d" * 40
    place.ref("main").write_text("nonsense")
    assert place.commit("main") is None


def test_importing_the_check_is_light() -> None:
    code = (
        "import sys; from launch.weights import check, fetch\n"
        "heavy = {'huggingface_hub', 'httpx2', 'filelock', 'rich', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_default_cache_is_read_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else")
