"""A plan names the commit of the weights, first in the command and with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Refused
from launch.spec.inputs import ModelCommit
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, command, plan, why

COMMIT, OTHER = "a" * 40, "b" * 40
LOCKED = ModelCommit(COMMIT, "lock file: models", "the locked commit of the weights")


def pinned(hardware: str = "h200", **options: Any) -> Plan:
    return plan(M2, hardware, 4, facts={"commits": {M2: LOCKED}}, **options)


def test_the_server_loads_the_commit() -> None:
    made = pinned()
    assert f" --revision {COMMIT}" in command(made)
    assert (made.commit, made.revision) == (COMMIT, COMMIT)
    assert why(made, "--revision") == "the locked commit of the weights [lock file: models]"


def test_every_node_loads_the_commit() -> None:
    made = plan(M2, "h200", 8, 2, facts={"commits": {M2: LOCKED}})
    assert len(made.processes) == 2
    assert all(f" --revision {COMMIT}" in command(made, rank) for rank in range(2))


def test_another_commit_is_another_plan() -> None:
    other = plan(M2, "h200", 4, facts={"commits": {M2: ModelCommit(OTHER, "user", "revision v2")}})
    assert other.digest != pinned().digest


def test_the_commit_of_another_model_does_not_count() -> None:
    made = plan(M2, "h200", 4, facts={"commits": {"other/model": LOCKED}})
    assert (made.commit, "--revision" in command(made)) == ("", False)


def test_without_a_known_commit_the_command_is_that_of_the_recipe() -> None:
    made = plan(M2, "h200", 4)
    assert (made.commit, made.revision, "--revision" in command(made)) == ("", "main", False)


def test_an_unknown_commit_of_a_revision_is_noted() -> None:
    made = plan(M2, "h200", 4, revision="v2")
    assert (made.commit, made.revision) == ("", "v2")
    assert "the commit of revision 'v2' is not known here: invoke fetch finds it" in made.notes


def test_the_guides_command_stays_as_it_is_and_a_note_says_so() -> None:
    own, guide = plan(M2, "mi300x", 4, access="guide"), pinned("mi300x", access="guide")
    assert command(guide) == command(own)
    assert guide.commit == ""
    assert any(
        note.startswith(f"the command of the guide does not name the commit {COMMIT[:12]}")
        for note in guide.notes
    )


def test_a_revision_for_the_guides_command_is_refused() -> None:
    with pytest.raises(Refused, match="--revision and --access guide cannot be used together"):
        pinned("mi300x", access="guide", revision="v2")


def test_the_flag_itself_is_refused() -> None:
    with pytest.raises(Refused, match=r"--set --revision=v2 cannot be used") as refused:
        pinned(settings=(("--revision", "v2"),))
    assert refused.value.fix == "--revision v2"
