"""Values and spellings that vLLM's own parser accepts, and that would have become something else than was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.commands.test_odd_requests import H200, Request, assert_refused, plan


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))


def settings(*values: str) -> Request:
    return tuple(word for value in values for word in ("--set", value))


# One option in several spellings.
SPELLINGS: dict[Request, str] = {
    settings("--api-ke=secret"): "--set --api-key cannot be used",
    settings("--hf-tok=secret"): "next: invoke login",
    settings("--node-ra=1"): "next: --nodes NUMBER",
    settings('--hf-over={"num_hidden_layers":0}'): "'num_hidden_layers' must be a positive integer",
    settings("--tensor-parallel=4", "--tensor-parallel-size=2"): "is given twice, with '4' and '2'",
    settings("--max-model-len=8192", "--max-model=4096"): "is given twice, with '8192' and '4096'",
    settings("-O=3", "--optimization-level=0"): "is given twice, with '3' and '0'",
    settings(
        "--async-scheduling=true", "--no-async-scheduling=true"
    ): "is given twice, with 'true' and 'false'",
    settings("--no-no-async-scheduling=true"): "is not a vLLM flag with a value",
}


@pytest.mark.parametrize(("words", "message"), SPELLINGS.items())
def test_one_option_in_two_spellings_is_refused(words: Request, message: str) -> None:
    assert_refused((*H200, *words), message)


RIGHT: dict[Request, str] = {
    settings("--no-enable-prefix-caching=false"): " --enable-prefix-caching",
    settings("--no-enable-prefix-caching=true"): " --no-enable-prefix-caching",
    settings("--no-async-scheduling=true", "--async-scheduling=false"): " --no-async-scheduling",
    settings("--served-model-name=--help"): " --served-model-name=--help",
    settings("--served-model-name=-x"): " --served-model-name=-x",
    settings("--max-logprobs=-1"): " --max-logprobs -1",
}


@pytest.mark.parametrize(("words", "shown"), RIGHT.items())
def test_a_setting_keeps_its_meaning(words: Request, shown: str) -> None:
    found = plan(*H200, *words, "--format", "docker")
    assert found.code == 0, found.err
    command = " ".join(found.out.replace("\\\n", " ").split())
    assert f"{shown} " in f"{command} "
