"""What `invoke run` refuses before it asks an engine."""

from __future__ import annotations

import pytest

from tests.invocation import invoke

TWO = ("run", "--nodes", "2", "--hardware", "h200", "--gpus", "8")


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_several_nodes_are_refused_with_the_command_of_each(how: tuple[str, ...]) -> None:
    finished = invoke(*TWO, *how)
    assert finished.code == 2
    assert "error: the plan needs 2 nodes" in finished.err
    first, second = finished.out.split("# node 1: worker")
    assert "# node 0: head" in first
    for command in (first, second):
        assert command.count("docker run --detach") == 1


def test_a_program_gets_the_refusal_and_no_commands() -> None:
    finished = invoke(*TWO, "--format", "json")
    assert finished.code == 2
    assert "docker run" not in finished.out
    assert '"event": "failed"' in finished.out
