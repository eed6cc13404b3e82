"""Run the `run` lines of a job of a GitHub workflow on this machine, with the values that GitHub would fill in."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.conftest import ROOT

EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")
SHELL = ("bash", "-e", "-c")  # GitHub's, for a step that names none


@dataclass(frozen=True)
class Job:
    """A job for one row of its matrix. `values` has what every `${{ expression }}` stands for."""

    steps: list[dict[str, Any]]
    env: dict[str, str]
    values: Mapping[str, str]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The steps with lines to run; the others are another project's actions."""
        return [step for step in self.steps if "run" in step]

    def run(self, step: dict[str, Any], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run the lines of a step in the root of the repository."""
        own = {name: self.fill(value) for name, value in {**self.env, **step.get("env", {})}.items()}
        env = {**os.environ, **variables, **own}
        argv = [*SHELL, self.fill(step["run"])]
        return subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=900
        )

    def fill(self, text: str) -> str:
        """Put the values in the place of the expressions. An expression without a value is an error."""
        return EXPRESSION.sub(lambda found: self.values[found[1]], text)


def read_job(name: str, job: str, values: Mapping[str, str], **row: str) -> Job:
    """Return a job of a workflow, for the row of its matrix that has these entries."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    found = workflow["jobs"][job]
    (match,) = [entry for entry in found["strategy"]["matrix"]["include"] if row.items() <= entry.items()]
    return Job(found["steps"], found["env"], {**values, **{f"matrix.{key}": match[key] for key in match}})
