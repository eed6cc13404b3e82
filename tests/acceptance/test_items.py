"""Each item passes on a healthy server and fails, with a fitting cause, on a server with one fault."""

from __future__ import annotations

import pytest

from launch.acceptance.prompts import causes
from launch.acceptance.run import NAMES
from tests.acceptance.conftest import Accept
from tests.acceptance.stand_in import StandIn

# The fault of the stand-in, the item that shows it, and the cause that it names.
FAULTS = [
    ("garbles", "text", "garbled"),
    ("loops", "text", "looping"),
    ("garbles", "facts", "wrong-answers"),
    ("always_english", "language", "language"),
    ("mixes_batches", "batch", "batch"),
    ("two_weights", "replicas", "replicas"),
    ("wrong_reasoning_parser", "reasoning", "parser"),
    ("only_thinks", "reasoning", "only-reasoning"),
    ("drops_events", "stream", "stream"),
    ("rewrites_streams", "stream", "stream"),
    ("rewrites", "tokens", "rewritten"),
    ("hides_thoughts", "tokens", "rewritten"),
    ("drops_system", "messages", "messages"),
    ("drops_turns", "messages", "messages"),
    ("wrong_tool_parser", "tool-trigger", "markup"),
    ("always_calls", "tool-trigger", "too-many-calls"),
    ("wrong_tool_parser", "tool-schema", "no-calls"),
    ("text_arguments", "tool-schema", "arguments"),
    ("wrong_tool_parser", "tool-stream", "no-calls"),
    ("wrong_tool_parser", "tool-parallel", "markup"),
    ("drops_results", "tool-result", "result-ignored"),
    ("drops_thoughts", "thinking", "thinking-dropped"),
    ("forgets_context", "context", "needle"),
    ("ignores_stop", "stop", "stop"),
    ("bad_logprobs", "logprobs", "logprobs"),
    ("ignores_schema", "json-schema", "schema"),
    ("ignores_temperature", "sampling", "temperature"),
    ("ignores_defaults", "sampling", "defaults"),
    ("fails_on_long", "limits", "limits"),
]


def test_a_healthy_server_passes_every_item(accept: Accept) -> None:
    results = accept()
    assert list(results) == list(NAMES)
    assert {name: r.evidence for name, r in results.items() if r.outcome == "fail"} == {}
    assert [name for name, r in results.items() if r.outcome == "skipped"] == ["api-key"]


def test_metrics_have_the_names_of_minimax_provider_verifier(accept: Accept) -> None:
    results = accept("language", "reasoning", "tool-trigger", "tool-schema")
    metrics = {key: value for result in results.values() for key, value in result.metrics.items()}
    assert metrics == {
        "language_following_success_rate": 1,
        "error_only_reasoning_rate": 0,
        "tool_calls_match_rate": 1,
        "tool_calls_trigger_similarity": 1,
        "tool_calls_schema_accuracy": 1,
    }


@pytest.mark.parametrize(("fault", "item", "cause"), FAULTS)
def test_a_fault_fails_its_item(fault: str, item: str, cause: str, server: StandIn, accept: Accept) -> None:
    setattr(server, fault, True)
    result = accept(item)[item]
    assert (result.outcome, result.cause) == ("fail", causes()[cause].cause), result.evidence
    assert result.fix == causes()[cause].fix


def test_temperature_zero_that_is_ignored_fails_greedy(
    server: StandIn, accept: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.acceptance import stand_in

    healthy = stand_in.reply
    monkeypatch.setattr(
        stand_in,
        "reply",
        lambda state, body: stand_in.Reply(f"Thought {state.count}.", healthy(state, body).text),
    )
    assert accept("greedy")["greedy"].outcome == "fail"


def test_thoughts_in_the_content_are_right_too(server: StandIn, accept: Accept) -> None:
    server.append_think = True
    results = accept("reasoning", "responses", "thinking", "tool-result", "json-schema")
    assert {name: r.outcome for name, r in results.items()} == {
        "reasoning": "pass",
        "responses": "skipped",
        "thinking": "pass",
        "tool-result": "pass",
        "json-schema": "pass",
    }
    assert "--responses-api" in results["responses"].evidence


def test_a_server_that_keeps_working_for_a_client_that_has_gone_fails(
    server: StandIn, accept: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.acceptance.items.server_items.IDLE_WITHIN", 0.3)
    server.keeps_running = True
    assert accept("cancel")["cancel"].outcome == "fail"


def test_a_model_without_tools_skips_the_items_about_them(server: StandIn, accept: Accept) -> None:
    server.tools = False
    results = accept("tool-trigger", "tool-result", "facts")
    assert [r.outcome for r in results.values()] == ["pass", "skipped", "skipped"]
    assert "--enable-auto-tool-choice" in results["tool-trigger"].evidence


def test_a_server_without_the_responses_api_skips_it(server: StandIn, accept: Accept) -> None:
    server.has_responses = False
    assert accept("responses")["responses"].outcome == "skipped"


def test_api_key_lists_what_answers_without_it(server: StandIn, accept: Accept) -> None:
    server.key = "sk-test"
    result = accept("api-key")["api-key"]
    assert result.outcome == "pass"
    assert "/health, /metrics" in result.evidence


def test_api_key_that_is_not_asked_for_fails(server: StandIn, accept: Accept) -> None:
    server.key, server.open_paths = "sk-test", True
    assert accept("api-key")["api-key"].outcome == "fail"


def test_a_hang_in_the_middle_of_an_item_is_bounded(server: StandIn, accept: Accept) -> None:
    server.hangs_on = "spider"
    results = accept("facts", "text", seconds=4)
    assert (results["facts"].outcome, results["facts"].evidence) == ("fail", "no result after 4 s")
    assert results["text"].outcome == "pass"  # other questions are answered


def test_a_server_that_stops_answering_skips_the_rest(server: StandIn, accept: Accept) -> None:
    server.hangs_on = "role"
    results = accept("facts", "text", "stop", seconds=1)
    assert [r.outcome for r in results.values()] == ["fail", "skipped", "skipped"]
    assert "stopped answering during 'facts'" in results["stop"].evidence


def test_a_server_that_is_gone_skips_the_rest(server: StandIn) -> None:
    from launch.acceptance.client import Target
    from launch.acceptance.run import Runner, chosen

    results = list(Runner(Target("http://127.0.0.1:9", "m"), 5).results(chosen(("facts", "stop"))))
    assert [r.outcome for r in results] == ["fail", "skipped"]
