"""`invoke accept --url`: output, report, exit codes and refusals, as a user sees them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.acceptance.stand_in import MODEL, StandIn
from tests.invocation import invoke

NO_KEY = {"OPENAI_API_KEY": ""}


def test_a_healthy_server_ends_with_0_and_a_line_for_each_item(server: StandIn) -> None:
    done = invoke(
        "accept", "--url", f"{server.url}/v1", "--only", "facts", "--only", "api-key", **NO_KEY
    ).ok()
    lines = done.out.splitlines()
    assert lines[0] == "pass     facts         8 of 8 answers are right"
    assert lines[1] == "skipped  api-key       the server requires no API key"
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"


def test_a_failed_item_ends_with_1_and_names_cause_and_fix(server: StandIn) -> None:
    server.wrong_reasoning_parser = True
    done = invoke("accept", "--url", server.url, "--only", "reasoning", **NO_KEY)
    assert done.code == 1
    assert "FAIL     reasoning" in done.out
    assert "cause: the wrong reasoning parser, or none" in done.out
    assert "fix: plan with --reasoning-parser minimax_m2" in done.out


def test_the_report_is_one_json_document_and_the_same_in_the_file(server: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "accept.json"
    words = ("--only", "facts", "--output", str(file), "--format", "json")
    report = invoke("accept", "--url", server.url, *words, **NO_KEY).json
    assert report == json.loads(file.read_text())
    assert report["schema"] == 1
    assert report["slipway"] == {"url": server.url, "model": MODEL}
    assert report["acceptance"]["outcome"] == "pass"
    assert report["acceptance"]["quick"] is True  # not all items were tested
    assert report["acceptance"]["items"][0]["name"] == "facts"


def test_quick_leaves_out_slow_items(server: StandIn) -> None:
    report = invoke("accept", "--url", server.url, "--quick", "--format", "json", **NO_KEY).json
    names = [item["name"] for item in report["acceptance"]["items"]]
    assert {"facts", "tool-trigger", "context"} <= set(names)
    assert not {"greedy", "cancel"} & set(names)


@pytest.mark.parametrize("text", ["sk-test", "VLLM_API_KEY=sk-test\nOPENAI_API_KEY=sk-test\n", "sk-test\n"])
def test_the_key_is_read_from_a_file(text: str, server: StandIn, tmp_path: Path) -> None:
    server.key = "sk-test"
    (tmp_path / "key").write_text(text)
    words = ("--url", server.url, "--only", "api-key", "--key-file", str(tmp_path / "key"))
    done = invoke("accept", *words, **NO_KEY).ok()
    assert "/v1 requires the key" in done.out
    assert "sk-test" not in done.out + done.err


def test_the_key_is_read_from_the_environment(server: StandIn) -> None:
    server.key = "sk-test"
    invoke("accept", "--url", server.url, "--only", "facts", OPENAI_API_KEY="sk-test").ok()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--only", "fact"), ["'fact'", "`facts`"]),
        (("--model", "other/model"), ["'other/model'", MODEL]),
        (("--timeout", "0"), ["--timeout"]),
        (("--output", "/no/such/folder/x.json"), ["/no/such/folder/x.json"]),
        (("--key-file", "/no/such/key"), ["/no/such/key"]),
        (("a-name",), ["not both"]),
    ],
)
def test_a_wrong_request_ends_with_2(words: tuple[str, ...], parts: list[str], server: StandIn) -> None:
    done = invoke("accept", *words, "--url", server.url, **NO_KEY)
    assert done.code == 2
    assert [part for part in parts if part not in done.err] == []
    assert server.requests == []


def test_a_server_that_requires_a_key_is_refused_with_the_option_for_it(server: StandIn) -> None:
    server.key = "sk-test"
    done = invoke("accept", "--url", server.url, **NO_KEY)
    assert done.code == 2
    assert "requires an API key" in done.err
    assert "--key-file PATH" in done.err


def test_a_server_that_hangs_does_not_keep_the_program(server: StandIn) -> None:
    server.hangs_on = "role"  # every request
    began = time.monotonic()
    done = invoke("accept", "--url", server.url, "--quick", "--timeout", "2", **NO_KEY)
    assert done.code == 1
    assert "no result after 2 s" in done.out
    assert "the server stopped answering during 'facts'" in done.out
    assert time.monotonic() - began < 20  # the stand-in hangs for 30 s


def test_options_for_an_address_need_one() -> None:
    done = invoke("accept", "--model", "a/model")
    assert done.code == 2
    assert "--model needs --url" in done.err


def test_an_address_at_which_nothing_listens_fails() -> None:
    done = invoke("accept", "--url", "http://127.0.0.1:9", **NO_KEY)
    assert done.code == 1
    assert "does not answer" in done.err
