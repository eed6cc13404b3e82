"""Recipe sources over https from a real Git server with a self-made CA, and over ssh."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.operations import recipe_sources
from launch.operations.plan_inputs import plan_of
from launch.recipe_sources import git as git_client
from launch.recipe_sources import store
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.recipe_sources.git_server import GitServer, serving
from tests.unit.launch.recipe_sources.repositories import commit, git, write_recipe, write_repository

REQUEST = PlanOptions("org/name", hardware="h200", gpus="1")
ARGS = "[--max-num-seqs, '64']"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "SLIPWAY_STATE_DIR": str(tmp_path / "state"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "state" / "state" / "recipes"


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    return write_repository(tmp_path / "served" / "team", ARGS)


@pytest.fixture
def server(team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificates / "cert.pem"))
    with serving(team.parent, certificates) as running:
        yield running


# ---- https


def test_a_repository_is_added_and_updated_by_https(server: GitServer, team: Path) -> None:
    added = recipe_sources.add("team", server.url("team"))
    assert added.source.commit == git(team, "rev-parse", "HEAD")
    assert plan_of(REQUEST).processes[0].argv[3:5] == ("--max-num-seqs", "64")
    write_recipe(team, args="[--max-num-seqs, '32']")
    newer = commit(team)
    updated = recipe_sources.update(added.source)
    assert (updated.old.commit, updated.new.commit) == (added.source.commit, newer)
    assert plan_of(REQUEST).processes[0].argv[3:5] == ("--max-num-seqs", "32")
    assert any("git-upload-pack" in path for path in server.requests)


@pytest.mark.parametrize("revision", ["main", "v1", "commit"])
def test_a_branch_a_tag_or_a_commit_is_added_by_https(server: GitServer, team: Path, revision: str) -> None:
    old = git(team, "rev-parse", "HEAD")
    git(team, "tag", "v1")
    newer = commit(team)
    added = recipe_sources.add("team", server.url("team"), old if revision == "commit" else revision)
    assert added.source.commit == (newer if revision == "main" else old)


def test_a_server_whose_ca_is_not_known_is_not_trusted(
    server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSL_CAINFO")
    monkeypatch.setenv(
        "GIT_SSL_NO_VERIFY", "1"
    )  # must not count: it is not among the variables that are kept
    with pytest.raises(Failed, match="cannot fetch") as failed:
        recipe_sources.add("team", server.url("team"))
    assert "certificate" in failed.value.why
    assert server.requests == []
    assert store.read() == ()


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/team", "file:///etc", "ext::sh -c true"])
def test_a_redirect_to_another_protocol_is_not_followed(server: GitServer, target: str) -> None:
    server.redirect = target
    with pytest.raises(Failed, match="cannot fetch"):
        recipe_sources.add("team", server.url("team"))
    assert store.read() == ()


def test_a_redirect_without_end_ends(server: GitServer) -> None:
    server.redirect = "/again"
    with pytest.raises(Failed, match="cannot fetch"):
        recipe_sources.add("team", server.url("team"))
    assert len(server.requests) < 100


def test_a_repository_that_is_missing_is_named(server: GitServer) -> None:
    with pytest.raises(Failed, match="cannot fetch") as failed:
        recipe_sources.add("team", server.url("none"))
    assert "not found" in failed.value.why


def test_a_repository_behind_a_password_asks_nothing(server: GitServer) -> None:
    server.password = True
    with pytest.raises(Failed, match="cannot fetch") as failed:
        recipe_sources.add("team", server.url("team"))
    assert "could not read Username" in failed.value.why


def test_a_rewritten_history_is_refused_by_https(server: GitServer, team: Path) -> None:
    source = recipe_sources.add("team", server.url("team")).source
    write_recipe(team, args="[]")
    commit(team, "--amend")
    with pytest.raises(Refused, match="rewritten"):
        recipe_sources.update(source)


def test_links_and_submodules_of_a_server_are_not_followed(server: GitServer, team: Path) -> None:
    (team / ".gitmodules").write_text('[submodule "x"]\n\tpath = models/x\n\turl = ../none\n')
    git(team, "update-index", "--add", "--cacheinfo", f"160000,{git(team, 'rev-parse', 'HEAD')},models/x")
    commit(team)
    assert recipe_sources.add("team", server.url("team")).recipes == 1
    assert not any("/none" in path for path in server.requests)
    (team / "models" / "org" / "link.yaml").symlink_to("/etc/passwd")
    commit(team)
    with pytest.raises(Refused) as refused:
        recipe_sources.add("other", server.url("team"))
    assert "is a symbolic link" in refused.value.why


def test_a_repository_that_is_too_large_is_cut_by_https(
    server: GitServer, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (team / "large").write_bytes(os.urandom(300_000))
    commit(team)
    monkeypatch.setattr(git_client, "MAX_PACK", 100_000)
    with pytest.raises(Refused) as refused:
        recipe_sources.add("team", server.url("team"))
    assert "it is too large" in refused.value.why


# ---- ssh: a program in place of ssh, which runs the command of the other side as sshd does


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file to which each call's words are written."""
    calls, program = tmp_path / "calls", tmp_path / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s|" "$@" >> {shlex.quote(str(calls))}; echo >> {shlex.quote(str(calls))}\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", shlex.quote(str(program)))
    return calls


@pytest.mark.parametrize("address", ["ssh://git@host.invalid:2222{path}", "git@host.invalid:{path}"])
def test_a_repository_is_added_by_ssh(ssh: Path, team: Path, address: str) -> None:
    added = recipe_sources.add("team", address.format(path=team))
    assert added.source.commit == git(team, "rev-parse", "HEAD")
    words = ssh.read_text().splitlines()[-1].split("|")
    assert f"git-upload-pack '{team}'" in words
    assert "git@host.invalid" in words


def test_a_path_with_shell_commands_runs_none_of_them(ssh: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(Failed, match="cannot fetch"):
        recipe_sources.add("team", f"git@host.invalid:x';touch${{IFS}}{touched};'")
    assert ssh.exists()
    assert not touched.exists()


def test_ssh_does_not_ask_for_a_password(team: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a user's own command, ssh runs in batch mode; the first `ssh` of the PATH shows its words."""
    calls = tmp_path / "words"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {shlex.quote(str(calls))}\necho "Host key verification failed." >&2\nexit 255\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    with pytest.raises(Failed, match="cannot fetch") as failed:
        recipe_sources.add("team", f"ssh://git@host.invalid{team}")
    assert failed.value.why == "Host key verification failed"
    assert "-o BatchMode=yes" in calls.read_text()
