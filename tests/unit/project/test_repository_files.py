"""The files that a repository is expected to have: licence, issue forms, hooks, update configuration."""

import tomllib
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def test_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "Copyright 2026 The Slipway authors" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_form_has_the_keys_that_github_requires(path: Any) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"] and form["description"]
    inputs = [element for element in form["body"] if element["type"] != "markdown"]
    assert {element["type"] for element in inputs} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(element["attributes"]["label"] for element in inputs)
    identifiers = [element["id"] for element in inputs]
    assert len(identifiers) == len(set(identifiers))


def test_pre_commit_hooks_run_tools_of_the_virtual_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    pinned = (ROOT / "requirements/dev.txt").read_text()
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy", "words"}
    for hook in hooks:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert program == "python" or f"\n{program}==" in pinned


def test_dependency_updates_cover_each_ecosystem() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "docker", "github-actions"}
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.lstrip("/")).is_dir()


def test_import_rules_have_no_exceptions() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert rules
    assert not [rule["name"] for rule in rules if "ignore_imports" in rule]
