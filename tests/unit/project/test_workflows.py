"""The workflows run on GitHub only; these tests check their commands, their pins and their permissions."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.lock.lockfile import load
from tests.conftest import ROOT
from tests.unit.project.command_lines import check_command_line

FOLDER = ROOT / ".github" / "workflows"
CONFIG = ROOT / ".github" / "actionlint.yaml"
FILES = sorted(FOLDER.glob("*.yml"))
WORKFLOWS: dict[str, dict[Any, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
IMAGES, CI = WORKFLOWS["images"], WORKFLOWS["ci"]
EVENTS = True  # YAML 1.1 reads the key `on` as true


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def run_lines(workflow: dict[Any, Any]) -> list[str]:
    return [line.strip() for step in steps(workflow) for line in step.get("run", "").splitlines()]


LINES = [line for workflow in WORKFLOWS.values() for line in run_lines(workflow)]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(("make ", ".venv/bin/invoke"))])
def test_workflow_line_is_a_valid_command(line: str) -> None:
    check_command_line(line)


@pytest.mark.parametrize("line", [line for line in LINES if "-m pytest" in line])
def test_workflow_pytest_line_names_existing_paths(line: str) -> None:
    paths = [word for word in line.split() if word.startswith("tests/")]
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_images_matrix_lists_images_of_the_lock_and_their_test_classes() -> None:
    text = "".join(path.read_text() for path in (ROOT / "tests/images").glob("test_*.py"))
    for row in IMAGES["jobs"]["image"]["strategy"]["matrix"]["include"]:
        load().image(row["platform"], row["channel"])
        assert re.search(rf"^class {row['select']}\(", text, re.MULTILINE)


def test_images_path_filter_matches_existing_files() -> None:
    for pattern in IMAGES[EVENTS]["pull_request"]["paths"]:
        assert list(ROOT.glob(pattern)), pattern


def test_ci_runs_for_every_change() -> None:
    assert CI[EVENTS]["pull_request"] is None
    assert CI[EVENTS]["push"] == {"branches": ["main"]}
    assert {"make check", "make docs", "make test"} <= set(run_lines(CI))


def test_ci_runs_unit_tests_on_each_supported_python() -> None:
    versions = CI["jobs"]["unit"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text()


def test_workflow_action_is_pinned_to_a_commit() -> None:
    used = [step["uses"] for workflow in WORKFLOWS.values() for step in steps(workflow) if "uses" in step]
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)]


def test_workflow_permissions_are_granted_per_job() -> None:
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())
    granted = {name: job.get("permissions") for name, job in (IMAGES["jobs"] | CI["jobs"]).items()}
    assert {name: given for name, given in granted.items() if given} == {
        "image": {"contents": "read", "packages": "write"},
        "pin": {"contents": "write", "pull-requests": "write"},
    }


def test_pull_request_reads_no_secret_and_publishes_nothing() -> None:
    for step in IMAGES["jobs"]["image"]["steps"]:
        text = str(step)
        if "secrets." in text or "docker login" in text:
            assert step["if"] == "github.event_name != 'pull_request'"
        if "invoke publish" in text and step["if"] == "github.event_name == 'pull_request'":
            assert "--dry-run" in step["run"]
    assert "secrets." not in str(CI)


def test_workflow_passes_no_secret_as_an_argument() -> None:
    assert not [line for line in LINES if "secrets." in line]


def actionlint(path: Path) -> subprocess.CompletedProcess[str]:
    """Run actionlint without shellcheck, which is not installed everywhere."""
    program = Path(sys.executable).with_name("actionlint")
    argv = [str(program), "-config-file", str(CONFIG), "-shellcheck=", "-oneline", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actionlint_accepts_the_workflow(path: Path) -> None:
    done = actionlint(path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("branches: [main]", "branch: [main]", 'unexpected key "branch"'),
        ("packages: write", "package: write", 'unknown permission scope "package"'),
        ("matrix.select", "matrix.selected", 'property "selected" is not defined'),
        ("runner: images-large", "runner: images-larger", 'label "images-larger" is unknown'),
    ],
)
def test_actionlint_reports_a_mistake(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    source = (FOLDER / "images.yml").read_text()
    assert right in source
    path = tmp_path / "images.yml"
    path.write_text(source.replace(right, wrong, 1))
    done = actionlint(path)
    assert done.returncode == 1
    assert message in done.stdout
