"""What a recipe source must not do: run programs, read or write elsewhere, fill the disk, end the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import Failed, Refused, SlipwayError
from launch.operations import recipe_sources
from launch.recipe_sources import git as git_client
from launch.recipe_sources import limits, location, store
from tests.invocation import ROOT
from tests.unit.launch.recipe_sources.repositories import (
    commit,
    git,
    write_folder,
    write_recipe,
    write_repository,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "state" / "state" / "recipes"


def left(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir() if path.is_dir()) if state.exists() else []


ADDRESSES = [
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ext::sh -c touch% x",
    "http://host/path",
    "git://host/path",
    "ftp://host/path",
    "ssh://-oProxyCommand=x/path",
    "git@-oProxyCommand=x:path",
    "git@host:-x",
    "file://host/path",
    "https://user:password@host/path",
    "https://host",
    "fd::17/foo",
    "/nowhere",
    "a\nb",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_git_might_take_for_something_else_is_refused(address: str, state: Path) -> None:
    with pytest.raises(Refused) as refused:
        recipe_sources.add("x", address)
    assert "password@" not in str(refused.value)
    assert left(state) == []


@pytest.mark.parametrize(
    ("address", "protocol"),
    [
        ("https://github.com/vllm-project/recipes", "https"),
        ("https://host:8443/a/b.git", "https"),
        ("ssh://git@host:22/a", "ssh"),
        ("git@host:a/b.git", "ssh"),
        ("file:///a", "file"),
    ],
)
def test_addresses_of_git(address: str, protocol: str) -> None:
    assert location.locate("x", address) == location.Location(address, protocol)


def test_vllm_is_known_by_name() -> None:
    assert location.locate("vllm", "").url == "https://github.com/vllm-project/recipes"


@pytest.mark.parametrize("name", ["", "-x", "../x", "a/b", "A", "x" * 41, "a b", ".", "a\n"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="is not a name"):
        recipe_sources.add(name, "/tmp")


@pytest.mark.parametrize(
    "revision", ["--upload-pack=x", "a..b", "a b", "@{1}", ":x", "x:refs/heads/y", "+x", "/a"]
)
def test_a_revision_that_cannot_be_a_name_is_refused(revision: str, tmp_path: Path) -> None:
    team = write_repository(tmp_path / "team")
    with pytest.raises(Refused, match="is not a branch, tag or commit"):
        recipe_sources.add("team", str(team), revision)


def test_nothing_of_a_repository_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, filters, submodules and the hooks of the user's own configuration."""
    touched = tmp_path / "touched"
    team = write_repository(tmp_path / "team")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    names = ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc")
    for hook in [folder / name for folder in (hooks, team / ".git" / "hooks") for name in names]:
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {touched}\n")
        hook.chmod(0o755)
    (team / ".gitattributes").write_text("* filter=evil\n")
    (team / ".gitmodules").write_text('[submodule "x"]\n\tpath = models/x\n\turl = file:///etc\n')
    git(team, "-c", "core.hooksPath=/dev/null", "add", "-A")
    git(team, "-c", "core.hooksPath=/dev/null", "commit", "-qm", "x")
    user = tmp_path / "gitconfig"
    user.write_text(
        f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {hooks.parent}\n"
        f'[filter "evil"]\n\tsmudge = touch {touched}\n\tclean = touch {touched}\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {touched}")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    recipe_sources.add("team", str(team))
    assert not touched.exists()


def link(team: Path) -> None:
    (team / "models" / "org" / "link.yaml").symlink_to("/etc/passwd")


def link_to_folder(team: Path) -> None:
    (team / "models" / "etc").symlink_to("/etc")


def link_of_table(team: Path) -> None:
    (team / "taxonomy.yaml").unlink()
    (team / "taxonomy.yaml").symlink_to("/etc/hostname")


def large_file(team: Path) -> None:
    (team / "models" / "org" / "large.yaml").write_bytes(b"#" * (limits.MAX_FILE + 1))


def no_recipes(team: Path) -> None:
    (team / "models" / "org" / "name.yaml").unlink()


def deep_yaml(team: Path) -> None:
    (team / "models" / "org" / "name.yaml").write_text("[" * 100_000)


def not_utf8(team: Path) -> None:
    (team / "models" / "org" / "name.yaml").write_bytes(b"\xff\xfe")


def control_character(team: Path) -> None:
    write_recipe(team, "org/a\nExec=b")


CONTENTS: dict[Callable[[Path], None], str] = {
    link: "models/org/link.yaml is a symbolic link",
    link_to_folder: "models/etc is a symbolic link",
    link_of_table: "taxonomy.yaml is a symbolic link",
    large_file: "1 MiB is the limit for a file",
    no_recipes: "it has no recipe",
    deep_yaml: "none of its 1 recipes can be read",
    not_utf8: "none of its 1 recipes can be read",
    control_character: "is not allowed",
}


@pytest.mark.parametrize("kind", ["git", "folder"])
@pytest.mark.parametrize("change", CONTENTS)
def test_hostile_content_is_refused_and_leaves_nothing(
    change: Callable[[Path], None], kind: str, tmp_path: Path, state: Path
) -> None:
    make = write_repository if kind == "git" else write_folder
    team = make(tmp_path / "team")
    change(team)
    if kind == "git":
        commit(team)
    with pytest.raises(Refused, match="the recipe source is refused") as refused:
        recipe_sources.add("team", str(team))
    assert CONTENTS[change] in refused.value.why
    assert store.read() == ()
    with store.changing():
        assert [name for name in left(state) if not name.startswith(".incomplete-")] == []


def test_a_pipe_in_a_folder_is_not_opened(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    os.mkfifo(folder / "models" / "pipe.yaml")
    with pytest.raises(Refused) as refused:
        recipe_sources.add("mine", str(folder))
    assert "pipe.yaml is not a regular file" in refused.value.why


def test_a_recipe_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    team = write_repository(tmp_path / "team")
    (team / "models" / "org" / "broken.yaml").write_text("[" * 50)
    commit(team)
    added = recipe_sources.add("team", str(team))
    assert (added.recipes, len(added.broken)) == (1, 1)


def test_a_repository_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    team = write_repository(tmp_path / "team")
    (team / "large").write_bytes(os.urandom(300_000))
    commit(team)
    monkeypatch.setattr(git_client, "MAX_PACK", 100_000)
    with pytest.raises(Refused) as refused:
        recipe_sources.add("team", str(team))
    assert "it is too large" in refused.value.why
    assert left(state) == []


def test_a_tree_that_holds_itself_many_times_ends(tmp_path: Path) -> None:
    team = write_repository(tmp_path / "team")
    tree = git(team, "rev-parse", "HEAD:models/org")
    for _ in range(10):
        tree = git(team, "mktree", data="".join(f"040000 tree {tree}\t{name:0>60}\n" for name in range(20)))
    root = git(team, "mktree", data=f"040000 tree {tree}\tmodels\n")
    git(team, "update-ref", "HEAD", git(team, "commit-tree", "-m", "x", root))
    start = time.monotonic()
    with pytest.raises(Refused, match="the recipe source is refused"):
        recipe_sources.add("team", str(team))
    assert time.monotonic() - start < 30


def fake_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a git into the PATH that never ends; its process id is in the file that is returned."""
    pid = folder / "pid"
    (folder / "git").write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 60\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return pid


def test_a_git_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = fake_git(tmp_path, monkeypatch)
    monkeypatch.setattr(git_client, "SECONDS", 0.5)
    with pytest.raises(Failed, match="cannot fetch 'https://host/path'"):
        recipe_sources.add("x", "https://host/path")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_killed_command_leaves_nothing_behind_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    team = write_repository(tmp_path / "team")
    recipe_sources.add("first", str(team))
    program = "from launch.operations import recipe_sources; recipe_sources.add('x', 'https://host/path')"
    with monkeypatch.context() as patch:
        pid = fake_git(tmp_path, patch)
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
        try:
            deadline = time.monotonic() + 30
            while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        os.kill(int(pid.read_text()), signal.SIGKILL)
    assert any(name.startswith(".incomplete-") for name in left(state))
    recipe_sources.add("second", str(team))
    assert left(state) == ["first", "second"]


def test_without_git_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlipwayError, match="git is not installed"):
        recipe_sources.add("x", "https://host/path")
