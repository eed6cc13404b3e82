"""The lock file names the commit of a model, and fetch, verify and plan take it. The Hub is on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.lock.lockfile import LOCK, load
from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import serve_folder
from launch.hub_server.model_folder import read_repository
from launch.operations.demo_model import MODEL
from launch.weights.cache import ModelFolder
from tests.invocation import Finished, invoke

Run = Callable[..., Finished]
CPU = ("--platform", "cpu", "--format", "json")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to serve, with the first version of the tiny model."""
    root = tmp_path_factory.mktemp("old")
    write_checkpoint(root / MODEL)
    return root


@pytest.fixture(scope="module")
def new(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model after its authors changed it."""
    root = tmp_path_factory.mktemp("new")
    shutil.copytree(old, root, dirs_exist_ok=True)
    (root / MODEL / "README.md").write_text("A new version.\n")
    return root


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A copy of Slipway's lock file, without models."""
    for file in ("lock.yaml", "cpu/requirements.txt", "cuda/requirements.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(LOCK.parent / file, tmp_path / file)
    return tmp_path / "lock.yaml"


@pytest.fixture
def run(lock: Path, cache: Path) -> Run:
    """Run a command with this lock file and this cache, without a Hub unless `hub` names one."""

    def run(*words: str, hub: str = "http://127.0.0.1:9") -> Finished:
        return invoke(*words, "--lock", str(lock), HF_ENDPOINT=hub, HF_HUB_CACHE=str(cache), HF_TOKEN="")

    return run


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    with serve_folder(folder) as server:
        yield server.url


@pytest.fixture
def locked(run: Run, old: Path) -> str:
    """Pin the first version; return its commit."""
    with hub(old) as url:
        run("pin", "--model", MODEL, hub=url).ok()
    return read_repository(old, MODEL).commit


def commit_of(folder: Path) -> str:
    return read_repository(folder, MODEL).commit


def main_of(cache: Path) -> str | None:
    return ModelFolder(cache, MODEL).commit("main")


def argv(made: dict[str, Any]) -> str:
    return " ".join(made["processes"][0]["argv"])


def test_pin_writes_the_commit_and_the_digest_of_the_files(run: Run, old: Path, lock: Path) -> None:
    with hub(old) as url:
        changes = run("pin", "--model", MODEL, "--format", "json", hub=url).json["changes"]
        assert [row["key"] for row in changes] == ["commit", "manifest", "source"]
        again = run("pin", "--model", MODEL, "--format", "json", hub=url).json
    entry = load(lock).models[MODEL]
    assert entry.commit == commit_of(old)
    assert entry.source.startswith(f"main at {url}, ")
    assert (again["changes"], again["written"]) == ([], False)
    assert "# The pinned inputs" in lock.read_text()


def test_a_dry_run_writes_nothing(run: Run, old: Path, lock: Path) -> None:
    before = lock.read_bytes()
    with hub(old) as url:
        assert (
            f"models.{MODEL}.commit: - -> {commit_of(old)}"
            in run("pin", "--model", MODEL, "--dry-run", hub=url).out
        )
    assert lock.read_bytes() == before


def test_pin_without_a_hub_leaves_the_lock_unchanged(run: Run, lock: Path) -> None:
    before = lock.read_bytes()
    done = run("pin", "--model", MODEL)
    assert (done.code, "does not answer" in done.err) == (1, True), done.err
    assert lock.read_bytes() == before


def test_fetch_takes_the_locked_commit_and_not_what_main_is_now(
    run: Run, locked: str, new: Path, old: Path, cache: Path
) -> None:
    with hub(new) as url:
        done = run("fetch", MODEL, hub=url)
        assert done.code == 1
        assert f"{MODEL} does not exist" in done.err  # this Hub has the new commit only
    with hub(old) as url:
        assert run("fetch", MODEL, "--format", "json", hub=url).json["commit"] == locked
    assert run("verify", MODEL).ok()


def test_a_given_revision_replaces_the_locked_commit_and_the_plan_says_so(
    run: Run, locked: str, new: Path, cache: Path
) -> None:
    with hub(new) as url:
        run("fetch", MODEL, "--revision", "main", hub=url).ok()
    assert main_of(cache) == commit_of(new)
    assert run("plan", MODEL, *CPU).json["commit"] == locked
    made = run("plan", MODEL, "--revision", "main", *CPU).json
    assert made["commit"] == commit_of(new)
    reason = next(row for row in made["reasons"] if row["item"].startswith("--revision"))
    assert reason["source"] == "user"
    assert f"replaces {locked[:12]} (lock file: models)" in reason["why"]


def test_a_plan_names_the_locked_commit_before_it_is_fetched(run: Run, locked: str) -> None:
    for words in (CPU, ("--hardware", "h200", "--gpus", "1", "--format", "json")):
        made = run("plan", MODEL, *words).json
        assert (made["commit"], f" --revision {locked} " in argv(made)) == (locked, True)
    assert f"{MODEL} at {locked}" in run("plan", MODEL, "--platform", "cpu").out


def test_a_plan_keeps_the_cached_commit_if_the_lock_has_none(
    run: Run, old: Path, new: Path, cache: Path
) -> None:
    assert run("plan", MODEL, *CPU).json["commit"] == ""
    with hub(old) as url:
        run("fetch", MODEL, hub=url).ok()
    before = run("plan", MODEL, *CPU).json
    assert before["commit"] == commit_of(old)
    assert argv(before).count(commit_of(old)) == 1
    elsewhere = run("plan", MODEL, "--hardware", "h200", "--gpus", "1", "--format", "json").json
    assert elsewhere["commit"] == ""  # another host has another cache
    with hub(new) as url:
        run("fetch", MODEL, hub=url).ok()
    assert run("plan", MODEL, *CPU).json["commit"] == commit_of(new)


def test_an_incomplete_snapshot_gives_no_commit(run: Run, old: Path, cache: Path) -> None:
    with hub(old) as url:
        run("fetch", MODEL, hub=url).ok()
    (ModelFolder(cache, MODEL).snapshot(commit_of(old)) / "config.json").resolve().unlink()
    assert run("plan", MODEL, *CPU).json["commit"] == ""


def test_other_files_than_the_locked_ones_are_refused(
    run: Run, locked: str, old: Path, lock: Path, cache: Path
) -> None:
    with hub(old) as url:
        run("fetch", MODEL, hub=url).ok()
    data = yaml.safe_load(lock.read_text())
    data["models"][MODEL]["manifest"] = "sha256:" + "0" * 64
    lock.write_text(yaml.safe_dump(data, sort_keys=False))
    for words in (("fetch", MODEL), ("verify", MODEL)):
        with hub(old) as url:
            done = run(*words, hub=url)
        assert done.code == 1
        assert f"{MODEL} at {locked[:12]} has other files than the lock file" in done.err
        assert "the lock file has sha256:000" in done.err


def test_fetch_refuses_other_files_before_it_writes(
    run: Run, locked: str, old: Path, lock: Path, cache: Path
) -> None:
    data = yaml.safe_load(lock.read_text())
    data["models"][MODEL]["manifest"] = "sha256:" + "0" * 64
    lock.write_text(yaml.safe_dump(data, sort_keys=False))
    with hub(old) as url:
        assert run("fetch", MODEL, hub=url).code == 1
    assert not cache.exists()


def check(run: Run, url: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = run("pin", "--check", "--model", MODEL, "--format", "json", *words, hub=url)
    (row,) = json.loads(done.out)["inputs"]
    return done.code, row


def test_check_finds_the_locked_commit(run: Run, locked: str, old: Path) -> None:
    with hub(old) as url:
        code, row = check(run, url)
    assert (code, row["state"], row["key"], row["input"]) == (0, "present", f"models.{MODEL}", locked)


def test_check_reports_a_commit_that_the_hub_no_longer_has(run: Run, locked: str, new: Path) -> None:
    with hub(new) as url:
        code, row = check(run, url)
    assert (code, row["state"]) == (1, "gone")
    assert row["fix"].startswith(f"invoke pin --model {MODEL}")


def test_check_leaves_a_model_unknown_if_the_hub_does_not_answer(run: Run, locked: str) -> None:
    code, row = check(run, "http://127.0.0.1:9")
    assert (code, row["state"]) == (0, "unknown")


def test_check_of_a_model_that_is_not_locked_is_refused(run: Run) -> None:
    done = run("pin", "--check", "--model", "other/model")
    assert (done.code, "invoke pin --model other/model" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--revision", "main"), "--revision needs --model"),
        (("--model", MODEL, "--nightly"), "--model and --nightly cannot be used together"),
        (("--model", MODEL, "--platform", "cpu"), "--model and --platform cannot be used together"),
        (("--model", "nonsense"), "'nonsense' is not a model name"),
        (("--model", "../x/y"), "is not a model name"),
    ],
)
def test_a_wrong_option_is_refused(run: Run, lock: Path, words: tuple[str, ...], message: str) -> None:
    before = lock.read_bytes()
    done = run("pin", *words)
    assert (done.code, message in done.err) == (2, True), done.err
    assert lock.read_bytes() == before
