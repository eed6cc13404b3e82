"""Recipe sources from real Git repositories and folders: added, updated, removed, and looked up by plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.operations import recipe_sources
from launch.operations.plan_inputs import plan_of
from launch.recipe_sources import store
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2
from tests.unit.launch.recipe_sources.repositories import (
    commit,
    git,
    write_folder,
    write_recipe,
    write_repository,
)

REQUEST = PlanOptions("org/name", hardware="h200", gpus="1")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "state" / "state" / "recipes"


@pytest.fixture
def team(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "team", "[--max-num-seqs, '64']")


def stored(state: Path) -> list[str]:
    """Return what is in the state folder, without the lock and the list."""
    return sorted(str(path.relative_to(state)) for path in state.glob("*/*")) if state.exists() else []


def test_a_repository_is_pinned_and_plans_name_its_commit(team: Path, state: Path) -> None:
    added = recipe_sources.add("team", str(team))
    assert (added.source.kind, added.source.commit) == ("git", git(team, "rev-parse", "HEAD"))
    assert (added.recipes, added.broken) == (1, ())
    write_recipe(team, args="[--other]")
    commit(team)
    made = plan_of(REQUEST)
    assert made.processes[0].argv[3:5] == ("--max-num-seqs", "64")
    assert made.reasons[0].item == "recipe org/name"
    assert made.reasons[0].source == f"recipe source team at commit {added.source.commit[:12]}"
    assert stored(state) == [f"team/{added.source.commit}"]
    assert not (added.source.folder / "README.md").exists()


def test_update_follows_the_branch_and_removes_the_old_commit(team: Path, state: Path) -> None:
    old = recipe_sources.add("team", str(team)).source
    assert recipe_sources.update(old) == recipe_sources.Updated(old, old)
    write_recipe(team, args="[--max-num-seqs, '32']")
    write_recipe(team, "org/new")
    new = commit(team)
    tried = recipe_sources.update(old, dry_run=True)
    assert store.read() == (old,)
    updated = recipe_sources.update(old)
    assert updated == tried
    assert (updated.new.commit, updated.changed, updated.added) == (new, ("org/name",), ("org/new",))
    assert updated.commands == ()  # neither model is on this host
    assert stored(state) == [f"team/{new}"]
    assert "32" in plan_of(REQUEST).processes[0].argv


def test_update_shows_the_commands_of_models_on_this_host(team: Path, tmp_path: Path) -> None:
    from tests.unit.launch.weights.test_checkpoint import snapshot

    snapshot(tmp_path / "hub")  # of org/name
    old = recipe_sources.add("team", str(team)).source
    write_recipe(team, args="[--max-num-seqs, '32']")
    commit(team)
    (change,) = recipe_sources.update(old).commands
    assert (change.model, change.where) == ("org/name", ("h200 single_node_tp",))
    assert (change.added, change.removed) == (("--max-num-seqs 32",), ("--max-num-seqs 64",))


def test_own_recipes_come_first_then_the_sources_in_order(tmp_path: Path, team: Path) -> None:
    write_recipe(team, M2, "[--from-team]")
    commit(team)
    recipe_sources.add("team", str(team))
    recipe_sources.add("later", str(write_folder(tmp_path / "later")))
    assert "--from-team" not in plan_of(PlanOptions(M2, hardware="h200", gpus="4")).processes[0].argv
    assert "64" in plan_of(REQUEST).processes[0].argv
    recipe_sources.remove(recipe_sources.named("team")[0])
    assert "64" not in plan_of(REQUEST).processes[0].argv


def test_a_folder_is_copied(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    old = recipe_sources.add("mine", str(folder)).source
    assert old.version == f"mine at content {old.commit[:12]}"
    (folder / "models" / "org" / "name.yaml").unlink()
    assert plan_of(REQUEST).model == "org/name"
    write_recipe(folder, "org/other")
    assert recipe_sources.update(old).removed == ("org/name",)


@pytest.mark.parametrize("revision", ["release", "v1", "commit"])
def test_a_branch_a_tag_or_a_commit_can_be_added(team: Path, revision: str) -> None:
    first = git(team, "rev-parse", "HEAD")
    git(team, "branch", "release")
    git(team, "tag", "-a", "-m", "x", "v1")
    write_recipe(team, args="[--other]")
    commit(team)
    source = recipe_sources.add("team", str(team), first if revision == "commit" else revision).source
    assert source.commit == first
    assert recipe_sources.update(source).new == source


def test_a_name_is_taken_once(team: Path) -> None:
    recipe_sources.add("team", str(team))
    with pytest.raises(Refused, match="exists already") as refused:
        recipe_sources.add("team", str(team))
    assert refused.value.fix == "invoke recipes update team"
    with pytest.raises(Refused, match="exists already"):
        recipe_sources.add("slipway", str(team))


def test_a_source_that_is_gone_is_not_updated_and_still_plans(team: Path, tmp_path: Path) -> None:
    source = recipe_sources.add("team", str(team)).source
    team.rename(tmp_path / "elsewhere")
    with pytest.raises(Failed, match="cannot fetch 'file://"):
        recipe_sources.update(source)
    assert plan_of(REQUEST).model == "org/name"


def test_a_rewritten_history_is_refused(team: Path) -> None:
    source = recipe_sources.add("team", str(team)).source
    write_recipe(team, args="[--other]")
    commit(team, "--amend")
    with pytest.raises(Refused, match="history of the recipe source 'team' was rewritten") as refused:
        recipe_sources.update(source)
    assert source.commit[:12] in refused.value.why
    assert store.read() == (source,)
    assert "64" in plan_of(REQUEST).processes[0].argv


def test_removed_files_are_reported(team: Path) -> None:
    import shutil

    source = recipe_sources.add("team", str(team)).source
    shutil.rmtree(source.folder)
    with pytest.raises(Refused, match="the recipes of the source 'team' are gone") as refused:
        plan_of(REQUEST)
    assert refused.value.fix == "invoke recipes remove team"
    recipe_sources.remove(source)
    assert store.read() == ()


def test_remove_leaves_nothing(team: Path, state: Path) -> None:
    recipe_sources.remove(recipe_sources.add("team", str(team)).source)
    assert (stored(state), store.read()) == ([], ())
    with pytest.raises(Refused, match="unknown recipe source 'team'"):
        recipe_sources.named("team")


def test_a_damaged_list_is_explained(team: Path, state: Path) -> None:
    recipe_sources.add("team", str(team))
    (state / "sources.json").write_text('[{"name": 1}]')
    with pytest.raises(Failed, match="cannot read"):
        plan_of(REQUEST)
