"""The workflow cannot be run here; that each command in it exists, and that it asks for little, can be checked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from errors import choice
from images.lock.lockfile import load
from tasks import ns
from tests.conftest import ROOT

FILE = ROOT / ".github" / "workflows" / "images.yml"
CONFIG = ROOT / ".github" / "actionlint.yaml"
WORKFLOW = yaml.safe_load(FILE.read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
LINES = [line.strip() for step in STEPS for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("line", [line for line in LINES if "bin/invoke" in line])
def test_each_invoke_line_names_a_verb_and_its_flags(line):
    words = line.split("bin/invoke ")[1].split()
    task = ns[words[0]]
    known = {"--" + arg.name.replace("_", "-") for arg in task.get_arguments()}
    for flag in [word for word in words if word.startswith("--")]:
        assert flag in known, choice("flag", flag, sorted(known))


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_each_make_target_exists(line):
    assert f"\n{line.split()[1]}:" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("line", [line for line in LINES if "-m pytest" in line])
def test_each_pytest_line_names_what_is_there(line):
    paths = [word for word in line.split() if word.startswith("tests/")]
    assert paths
    for path in paths:
        assert (ROOT / path).exists()


def test_the_platforms_are_those_of_the_lock_and_their_tests_exist():
    text = "".join(path.read_text() for path in (ROOT / "tests/images").glob("test_*.py"))
    for row in WORKFLOW["jobs"]["image"]["strategy"]["matrix"]["include"]:
        load().platform(row["platform"])
        assert re.search(rf"^class {row['select']}\(", text, re.MULTILINE)


def test_each_action_is_pinned_to_a_commit():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_rights_are_given_job_by_job():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["jobs"]["image"]["permissions"] == {"contents": "read", "packages": "write"}
    assert WORKFLOW["jobs"]["pin"]["permissions"] == {"contents": "write", "pull-requests": "write"}


def test_a_pull_request_sees_no_secret_and_sends_nothing():
    for step in WORKFLOW["jobs"]["image"]["steps"]:
        spoken = str(step)
        if "secrets." in spoken or "docker login" in spoken:
            assert step["if"] == "github.event_name != 'pull_request'"
        if "invoke publish" in spoken and step["if"] == "github.event_name == 'pull_request'":
            assert "--dry-run" in step["run"]


def test_no_secret_is_an_argument():
    assert not [line for line in LINES if "secrets." in line]


def actionlint(path):
    """Its word on a workflow; without shellcheck, which is not everywhere, so that it is the same everywhere."""
    words = [Path(sys.executable).with_name("actionlint"), "-config-file", CONFIG, "-shellcheck=", "-oneline"]
    return subprocess.run([*words, path], capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing():
    done = actionlint(FILE)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("paths: [", "path: [", 'unexpected key "path"'),
        ("packages: write", "package: write", 'unknown permission scope "package"'),
        ("matrix.select", "matrix.selected", 'property "selected" is not defined'),
        ("runner: images-large", "runner: images-larger", 'label "images-larger" is unknown'),
    ],
)
def test_actionlint_would_find_it(tmp_path, right, wrong, said):
    path = tmp_path / "images.yml"
    assert right in FILE.read_text()
    path.write_text(FILE.read_text().replace(right, wrong, 1))
    done = actionlint(path)
    assert done.returncode == 1
    assert said in done.stdout
