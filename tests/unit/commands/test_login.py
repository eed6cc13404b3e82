"""`invoke login` and `invoke logout`: the stored token."""

from __future__ import annotations

from pathlib import Path

from tests.invocation import invoke


def test_logout_removes_the_stored_tokens(tmp_path: Path) -> None:
    for name in ("token", "stored_tokens"):
        (tmp_path / name).write_text("hf_secret")
    found = invoke("logout", HF_HOME=str(tmp_path), HF_TOKEN="").ok()
    assert found.out.splitlines() == [
        f"removed {tmp_path / 'token'}",
        f"removed {tmp_path / 'stored_tokens'}",
    ]
    assert list(tmp_path.iterdir()) == []
    assert "hf_secret" not in found.out + found.err


def test_logout_without_a_token_says_so(tmp_path: Path) -> None:
    assert invoke("logout", HF_HOME=str(tmp_path), HF_TOKEN="").ok().out == "no token is stored\n"


def test_logout_reports_a_token_of_the_environment(tmp_path: Path) -> None:
    found = invoke("logout", HF_HOME=str(tmp_path), HF_TOKEN="hf_other").ok()
    assert "HF_TOKEN is set in the environment and is still used" in found.err
    assert "hf_other" not in found.out + found.err


def test_logout_that_cannot_remove_the_token_fails(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    found = invoke("logout", HF_HOME=str(tmp_path))
    assert (found.code, found.out) == (1, "")
    assert "the token cannot be removed" in found.err
