"""Settings from files and from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import settings
from errors import Refused
from tests.invocation import invoke, slipway

NAMES = ("gpus", "hardware", "port")


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("slipway.yaml", "port: 8001", {"port": 8001}),
        ("slipway.yaml", "", {}),
        ("slipway.yaml", "# nothing yet", {}),
        ("invoke.yaml", "slipway: {port: 8001}\nrun: {echo: true}", {"port": 8001}),
        ("invoke.yaml", "other: 1", {}),
        ("other.yaml", "port: 8001", {}),
    ],
)
def test_settings_of_a_folder(name: str, text: str, found: dict[str, object], tmp_path: Path) -> None:
    assert settings.read_folder(write(tmp_path, name, text), NAMES) == found


def test_slipway_yaml_replaces_invoke_yaml(tmp_path: Path) -> None:
    write(tmp_path, "invoke.yaml", "slipway: {port: 1, gpus: 2}")
    assert settings.read_folder(write(tmp_path, "slipway.yaml", "port: 3"), NAMES) == {"port": 3}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "slipway.yaml",
            "hardwar: h200",
            "slipway.yaml: unknown setting 'hardwar'. Did you mean `hardware`?",
        ),
        ("slipway.yaml", "slipway: {port: 1}", "slipway.yaml: unknown setting 'slipway'"),
        ("invoke.yaml", "slipway: {prt: 1}", "invoke.yaml: unknown setting 'prt'. Did you mean `port`?"),
        ("slipway.yaml", "port: [", "cannot read 'slipway.yaml'"),
        ("slipway.yaml", "a: b: c", "cannot read 'slipway.yaml'"),
        ("slipway.yaml", "- port", "slipway.yaml must hold names and values"),
        ("invoke.yaml", "slipway: 5", "invoke.yaml: slipway must hold names and values"),
        ("invoke.yaml", "slipway:", "invoke.yaml: slipway must hold names and values"),
        ("invoke.yaml", "run: 5", "invoke.yaml: run must hold names and values"),
        ("slipway.yaml", "1: 2", "slipway.yaml: unknown setting '1'"),
        ("slipway.yaml", "hardware: {a: 1}", "slipway.yaml: hardware must be one value"),
        ("slipway.yaml", "port: 0.30", "slipway.yaml: put the value of port in quotes"),
        ("invoke.yaml", "slipway: {gpus: [0, 2]}", "invoke.yaml: gpus must be one value"),
    ],
)
def test_a_wrong_file_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        settings.read_folder(write(tmp_path, name, text), NAMES)
    assert message in refused.value.what


@pytest.mark.parametrize(
    ("name", "example"), [("slipway.yaml", "port: 8001"), ("invoke.yaml", "slipway:\n    port: 8001")]
)
def test_the_example_of_a_refused_file_is_valid(name: str, example: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        settings.read_folder(write(tmp_path, name, "- port"), NAMES)
    assert refused.value.fix == example
    assert settings.read_folder(write(tmp_path, name, example), NAMES) == {"port": 8001}


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slipway.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match="cannot read"):
        settings.read_folder(tmp_path, NAMES)


def test_environment_variables_of_both_programs_are_read() -> None:
    environ = {
        "INVOKE_SLIPWAY_PORT": "1",
        "SLIPWAY_PORT": "2",
        "INVOKE_SLIPWAY_GPUS": "3",
        "SLIPWAY_HARDWARE": "",
    }
    assert settings.read_environment(environ, NAMES) == {"port": "2", "gpus": "3"}


def test_options_count_above_the_environment_above_the_file(tmp_path: Path) -> None:
    write(tmp_path, "slipway.yaml", "hardware: h200\ngpus: 8")
    words = ("plan", "--dry", "--format", "docker")
    assert "--data-parallel-size 8" in slipway(*words, folder=tmp_path).ok().out
    assert "--tensor-parallel-size 4" in slipway(*words, folder=tmp_path, SLIPWAY_GPUS="4").ok().out
    assert (
        "--tensor-parallel-size 2"
        in slipway(*words, "--gpus", "2", folder=tmp_path, SLIPWAY_GPUS="4").ok().out
    )


def test_a_wrong_value_of_a_file_names_the_setting(tmp_path: Path) -> None:
    write(tmp_path, "slipway.yaml", "hardware: h200\nport: high")
    found = slipway("plan", folder=tmp_path)
    assert (found.code, found.out) == (2, "")
    assert "setting port must be an integer from 1 to 65535, or auto (got 'high')" in found.err


def test_a_named_file_replaces_the_one_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "slipway.yaml", "nonsense: 1")
    write(tmp_path, "mine.yaml", "hardware: h200\ngpus: 4")
    assert "TP4" in slipway("--config", "mine.yaml", "plan", folder=tmp_path).ok().out
    found = slipway("--config", "missing.yaml", "plan", folder=tmp_path)
    assert (found.code, found.err.splitlines()[0]) == (2, "error: cannot read 'missing.yaml'")


def test_invoke_refuses_a_wrong_value_of_the_environment() -> None:
    found = invoke("plan", "--hardware", "h200", INVOKE_SLIPWAY_PORT="high")
    assert found.code == 2
    assert "setting port must be an integer" in found.err
