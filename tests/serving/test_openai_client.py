"""Query a server through the OpenAI API: what is sent, and what becomes of each kind of answer."""

from __future__ import annotations

import threading

import pytest

from errors import Failed
from launch.serving.openai_client import Delta, ask, calls_tool, is_healthy
from tests.serving.conftest import VllmServer

DONE = b"data: [DONE]\n\n"


def content(text: str) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}}]}


def answer(vllm: VllmServer) -> list[Delta]:
    return list(ask(vllm.url, "m", "Why?"))


def test_ask_sends_a_streamed_chat_request(vllm: VllmServer) -> None:
    vllm.chunks = [DONE]
    list(ask(vllm.url, "a/model", "Why?", max_tokens=7, min_tokens=3, api_key="sk-1"))
    (request,) = vllm.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {
        "model": "a/model",
        "messages": [{"role": "user", "content": "Why?"}],
        "max_tokens": 7,
        "min_tokens": 3,
        "stream": True,
    }


def test_ask_sends_no_key_and_no_minimum_by_default(vllm: VllmServer) -> None:
    vllm.chunks = [DONE]
    list(ask(vllm.url, "m", "Why?"))
    assert "authorization" not in vllm.requests[0].headers
    assert "min_tokens" not in vllm.requests[0].body


def test_ask_bypasses_a_proxy(vllm: VllmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    vllm.chunks = [DONE]
    assert answer(vllm) == []


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_ask_separates_reasoning_from_the_answer(vllm: VllmServer, name: str) -> None:
    vllm.stream({"choices": [{"delta": {name: "hm", "content": "yes"}}]}, content("!"))
    vllm.chunks.append(DONE)
    assert answer(vllm) == [Delta("reasoning", "hm"), Delta("content", "yes"), Delta("content", "!")]


def test_ask_yields_each_delta_as_it_arrives(vllm: VllmServer) -> None:
    permits = threading.Semaphore(1)
    vllm.stream(content("first"), content("second"))
    vllm.chunks.append(DONE)
    vllm.delay = permits.acquire
    deltas = ask(vllm.url, "m", "Why?")
    assert next(deltas).text == "first"
    for _ in range(2):
        permits.release()
    assert [delta.text for delta in deltas] == ["second"]


def test_ask_ignores_comments_and_everything_after_done(vllm: VllmServer) -> None:
    vllm.chunks = [b": a comment\n", b'data:{"choices": []}\n', b"data:[DONE]\n", b"data: not json\n"]
    assert answer(vllm) == []


def test_ask_yields_a_call_of_a_tool_when_it_is_complete(vllm: VllmServer) -> None:
    parts: list[dict[str, object]] = [
        {"name": "tide", "arguments": ""},
        {"arguments": '{"port": '},
        {"arguments": '"Oslo"}'},
    ]
    vllm.stream(
        *({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": part}]}}]} for part in parts)
    )
    vllm.chunks.append(DONE)
    tool = {"type": "function", "function": {"name": "tide"}}
    assert list(ask(vllm.url, "m", "When?", tools=[tool])) == [Delta("call", 'tide({"port": "Oslo"})')]
    assert vllm.requests[0].body["tools"] == [tool]


def test_ask_ignores_events_without_text(vllm: VllmServer) -> None:
    vllm.stream({"choices": None}, {"choices": [{"delta": None}]})
    vllm.chunks.append(DONE)
    assert answer(vllm) == []


def test_ask_fails_if_the_stream_ends_early(vllm: VllmServer) -> None:
    vllm.stream(content("half"))
    deltas = ask(vllm.url, "m", "Why?")
    assert next(deltas).text == "half"
    with pytest.raises(Failed, match="the answer ended early"):
        next(deltas)


def test_ask_fails_with_the_error_of_the_server_in_the_stream(vllm: VllmServer) -> None:
    vllm.stream({"error": {"message": "EngineDeadError"}})
    with pytest.raises(Failed, match="failed during the answer") as failed:
        answer(vllm)
    assert failed.value.why == "EngineDeadError"


@pytest.mark.parametrize("line", [b"data: {not json\n", b"data: \xff\xfe\n", b"data: [1, 2]\n", b"data: 5\n"])
def test_ask_fails_if_the_server_is_not_vllm(vllm: VllmServer, line: bytes) -> None:
    vllm.chunks = [line]
    with pytest.raises(Failed, match="did not answer like vLLM"):
        answer(vllm)


@pytest.mark.parametrize(
    ("body", "why"), [(b'{"error": {"message": "too long"}}', "too long"), (b"<html>", "<html>")]
)
def test_ask_shows_why_the_server_rejects_a_request(vllm: VllmServer, body: bytes, why: str) -> None:
    vllm.status, vllm.chunks = 400, [body]
    with pytest.raises(Failed, match="HTTP 400") as failed:
        answer(vllm)
    assert failed.value.why == why


def test_ask_fails_if_nothing_listens() -> None:
    with pytest.raises(Failed, match=r"http://127\.0\.0\.1:9 does not answer") as failed:
        list(ask("http://127.0.0.1:9", "m", "Why?"))
    assert (failed.value.fix, "refused" in failed.value.why) == ("invoke ps", True)


@pytest.mark.parametrize(("calls", "expected"), [(b'[{"id": "1"}]', True), (b"[]", False), (b"null", False)])
def test_calls_tool_reports_a_parsed_tool_call(vllm: VllmServer, calls: bytes, expected: bool) -> None:
    vllm.chunks = [b'{"choices": [{"message": {"tool_calls": ' + calls + b"}}]}"]
    assert calls_tool(vllm.url, "m") is expected
    (tool,) = vllm.requests[0].body["tools"]
    assert tool["function"]["name"] == "tide"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
def test_calls_tool_fails_if_the_server_is_not_vllm(vllm: VllmServer, body: bytes) -> None:
    vllm.chunks = [body]
    with pytest.raises(Failed, match="did not answer like vLLM"):
        calls_tool(vllm.url, "m")


def test_is_healthy_only_if_health_answers_200(vllm: VllmServer) -> None:
    assert is_healthy(vllm.url)
    assert vllm.requests[0].path == "/health"
    vllm.status = 503
    assert not is_healthy(vllm.url)
    assert not is_healthy("http://127.0.0.1:9")


def test_ask_completes_the_text_if_the_model_has_no_chat_template(vllm: VllmServer) -> None:
    vllm.errors["/v1/chat/completions"] = (
        "default chat template is no longer allowed, so you must provide one"
    )
    vllm.stream({"choices": [{"text": " a ship"}]})
    vllm.chunks.append(DONE)
    assert answer(vllm) == [Delta("content", " a ship")]
    completion = vllm.requests[-1]
    assert completion.path == "/v1/completions"
    assert completion.body["prompt"] == "Why?"
    assert "messages" not in completion.body


def test_ask_reports_other_errors_of_a_chat(vllm: VllmServer) -> None:
    vllm.errors["/v1/chat/completions"] = "the model does not exist"
    with pytest.raises(Failed, match="HTTP 400"):
        answer(vllm)
    assert len(vllm.requests) == 1
