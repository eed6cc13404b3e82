"""`invoke recipes`: words and options, what is printed, and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.invocation import invoke
from tests.unit.launch.recipe_sources.repositories import commit, write_recipe, write_repository


def test_sources_are_added_listed_updated_and_removed(tmp_path: Path) -> None:
    team = write_repository(tmp_path / "team")
    env = {"SLIPWAY_STATE_DIR": str(tmp_path / "state"), "HF_HUB_CACHE": str(tmp_path / "hub")}
    first = invoke("recipes", "add", "team", str(team), **env).ok().out
    assert first.startswith("added team at commit ")
    assert first.endswith(": 1 recipe\n")
    (row,) = invoke("recipes", "list", "--format", "json", **env).json
    assert (row["name"], row["url"]) == ("team", team.as_uri())
    write_recipe(team, args="[--other]")
    new = commit(team)
    assert invoke("recipes", "update", **env).ok().out.splitlines() == [
        f"team: {row['commit'][:12]} -> {new[:12]}",
        "  changed: org/name",
    ]
    rows = invoke("recipes", "--format", "json", **env).json
    assert [row["source"] for row in rows if row["model"] == "org/name"] == [f"team at commit {new[:12]}"]
    assert invoke("recipes", "remove", "team", **env).ok().out == f"removed team at commit {new[:12]}\n"
    assert "No recipe sources" in invoke("recipes", "list", **env).ok().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add"], "recipes add needs the name of a source"),
        (["list", "a", "b"], "recipes list takes no location"),
        (["update", "none"], "unknown recipe source 'none'"),
        (["frobnicate"], "unknown --action value 'frobnicate'"),
    ],
)
def test_a_wrong_request_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    done = invoke("recipes", *words, SLIPWAY_STATE_DIR=str(tmp_path))
    assert (done.code, message in done.err, "next:" in done.err) == (2, True, True)
