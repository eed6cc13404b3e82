"""A stand-in for a server with a healthy model, on loopback. Faults are switched on by name; it loads no weights."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from launch.acceptance.prompts import prompts

MODEL, LENGTH = "stand-in/model", 2048
ANSWERS = {  # what a healthy model answers; the keys are parts of questions
    "7 + 8": "7 + 8 = 15",
    "2 + 3": "2 + 3 = 5",
    "capital of France": "The capital of France is Paris.",
    "capital of Japan": "The capital of Japan is Tokyo.",
    "after Monday": "Tuesday comes after Monday.",
    "blue and yellow": "Blue and yellow make green.",
    "spider": "A spider has 8 legs.",
    "Count": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    "Helling": "Eine Helling ist eine schräge Bahn am Ufer, auf der ein Schiff gebaut wird.",
    "Hauptstadt": "Die Hauptstadt von Frankreich ist Paris.",
    "grada": "Una grada es una rampa en la orilla en la que se construye un barco.",
    "Francia": "La capital de Francia es París.",
    "стапель": "Стапель — это место на берегу, где строят корабль.",
    "столица": "Столица Франции — город Париж.",
    "船台": "船台是岸边建造船舶的地方。",
    "ναυπηγείο": "Το ναυπηγείο είναι ο τόπος όπου χτίζονται τα πλοία.",
    "as JSON": '{"name": "Aurora", "year": 1900}',
    "story": "Once a small ship stood on the slipway of a quiet harbour. For a whole year the workers had laid her "
    "keel and closed her hull. On the first warm day of spring she slid into the sea, and the people cheered.",
    "paragraph": "First the keel is laid on the slipway. Then the frames are raised on both sides, and the plates of "
    "the hull are fixed to them. Next come the decks and the mast, and at last the ship slides into the water.",
}


@dataclass
class StandIn:
    """What the stand-in does. Each field but the first two is a fault or a feature that a test switches."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    key: str = ""
    open_paths: bool = False  # /v1 answers without the key
    tools: bool = True
    has_responses: bool = True
    append_think: bool = False
    wrong_reasoning_parser: bool = False
    wrong_tool_parser: bool = False
    drops_events: bool = False
    rewrites: bool = False
    rewrites_streams: bool = False
    ignores_temperature: bool = False
    ignores_stop: bool = False
    ignores_defaults: bool = False
    two_weights: bool = False
    mixes_batches: bool = False
    drops_thoughts: bool = False
    drops_system: bool = False
    drops_turns: bool = False
    hides_thoughts: bool = False
    drops_results: bool = False
    forgets_context: bool = False
    garbles: bool = False
    loops: bool = False
    only_thinks: bool = False
    always_english: bool = False
    always_calls: bool = False
    text_arguments: bool = False
    fails_on_long: bool = False
    ignores_schema: bool = False
    bad_logprobs: bool = False
    keeps_running: bool = False
    hangs_on: str = ""  # a part of a question
    running: int = 0
    in_flight: int = 0
    count: int = 0


@dataclass(frozen=True)
class Reply:
    """What the model writes."""

    thought: str
    text: str
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


def reply(state: StandIn, body: dict[str, Any]) -> Reply:
    """Return what the model answers to a request."""
    question = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
    if body["messages"][-1]["role"] == "tool" and not state.drops_results:
        return Reply("The tool says 17.", "It is 17 degrees and cloudy in Paris.")
    if body.get("tools") and (calls := _calls(state, question)):
        return Reply("I need a tool.", "", calls)
    if prompts().chance in question or prompts().odd[0] in question:
        return Reply("I roll.", _drawn(state, body))
    if prompts().needle.ask in question:
        hidden = re.search(r"harbour is (\w+)", question)
        return Reply(
            "It is in the text.", f"It is {hidden[1] if hidden and not state.forgets_context else 'lost'}."
        )
    text = next((written for part, written in ANSWERS.items() if part in question), "Hello!")
    if state.always_english and not question.isascii():
        text = "I answer in English."
    return Reply("The user asks.", text)


def _calls(state: StandIn, question: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    if question == prompts().parallel.ask:
        return tuple(("get_weather", {"city": city}) for city in ("Paris", "Tokyo"))
    for one in prompts().triggers:
        if one.ask == question and one.call:
            values = {k: str(v) for k, v in one.arguments.items()} if state.text_arguments else one.arguments
            return ((one.call, values),)
    if question == prompts().result.ask:
        return (("get_weather", {"city": "Paris"}),)
    return (("tide", {"port": "Oslo"}),) if state.always_calls else ()


def _drawn(state: StandIn, body: dict[str, Any]) -> str:
    """Return a number that depends on the seed and on the limits of sampling, as a sampler's would."""
    if state.ignores_temperature or not body.get("temperature"):
        return "4"
    limits: dict[str, Any] = {"top_p": 1.0, "top_k": -1}
    if not state.ignores_defaults:
        limits |= {"top_p": 0.95, "top_k": 40}
    limits |= {name: body[name] for name in limits if name in body}
    drawn = hashlib.sha256(json.dumps([body.get("seed"), limits]).encode()).hexdigest()
    return str(int(drawn[:8], 16))


class _Handler(BaseHTTPRequestHandler):
    state: StandIn

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def _send(self, status: int, data: Any) -> None:
        body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self) -> bool:
        """Answer a request without the key, if one is required."""
        state = self.state
        covered = state.key and not state.open_paths and self.path.startswith("/v1")
        if not covered or self.headers.get("Authorization") == f"Bearer {state.key}":
            return False
        self._send(401, {"error": "Unauthorized"})
        return True

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": MODEL, "max_model_len": LENGTH}]})
        elif self.path == "/metrics":
            self._send(200, f'vllm:num_requests_running{{engine="0"}} {float(self.state.running)}\n')
        else:
            self._send(200 if self.path == "/health" else 404, "")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return
        try:
            body = json.loads(raw)
        except ValueError:
            self._send(400, {"error": {"message": "not JSON"}})
            return
        self.state.requests.append(body)
        if self.path == "/v1/responses":
            self._responses(body)
        else:
            self._chat(body)

    def _chat(self, body: dict[str, Any]) -> None:
        state = self.state
        if error := _invalid(state, body):
            self._send(*error)
            return
        if state.hangs_on and state.hangs_on in json.dumps(body["messages"], ensure_ascii=False):
            time.sleep(30)
        if body.get("ignore_eos"):
            self._endless()
            return
        state.in_flight += 1
        time.sleep(0.05 if state.mixes_batches else 0)
        message, logprobs = _message(state, body), _logprobs(state, body)
        state.in_flight -= 1
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        usage = {"prompt_tokens": _tokens(state, body), "completion_tokens": len(json.dumps(message)) // 4}
        if body.get("stream"):
            self._stream(message, finish, usage)
            return
        choice = {"message": message, "finish_reason": finish, "logprobs": {"content": logprobs}}
        self._send(200, {"object": "chat.completion", "choices": [choice], "usage": usage})

    def _stream(self, message: dict[str, Any], finish: str, usage: dict[str, int]) -> None:
        deltas: list[dict[str, Any]] = []
        for name in ("reasoning", "content"):
            deltas += [{name: part} for part in re.findall(r"\s*\S+|\s+$", message.get(name) or "")]
        for i, call in enumerate(message.get("tool_calls") or ()):
            deltas.append({"tool_calls": [{"index": i, **call}]})
        if self.state.drops_events:
            deltas = [delta for i, delta in enumerate(deltas) if i % 3 != 1]
        chunks: list[dict[str, Any]] = [{"choices": [{"delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
        chunks.append({"choices": [], "usage": usage})
        self.send_response(200)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _endless(self) -> None:
        self.state.running += 1
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(b'data: {"choices": [{"delta": {"content": "sea "}}]}\n\n')
                time.sleep(0.01)
        except OSError:
            pass
        finally:
            self.state.running -= not self.state.keeps_running

    def _responses(self, body: dict[str, Any]) -> None:
        if not self.state.has_responses:
            self._send(404, {"error": {"message": "Not Found"}})
            return
        wrote = reply(self.state, {"messages": [{"role": "user", "content": body["input"]}]})
        text = f"<think>\n{wrote.thought}</think>\n\n{wrote.text}" if self.state.append_think else wrote.text
        message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
        output = [{"type": "reasoning", "content": [{"text": wrote.thought}]}, message]
        self._send(200, {"object": "response", "status": "completed", "output": output})


def _invalid(state: StandIn, body: dict[str, Any]) -> tuple[int, Any] | None:
    """Return the error for a request that a server must reject."""
    if body.get("model") != MODEL:
        return 404, {"error": {"message": "The model does not exist."}}
    if not isinstance(body.get("messages"), list) or (body.get("max_tokens") or 1) < 1:
        return 400, {"error": {"message": "invalid request"}}
    if body.get("tools") and not state.tools:
        return 400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}}
    if _tokens(state, body) > LENGTH:
        return (500 if state.fails_on_long else 400), {"error": {"message": "too long"}}
    return None


def _tokens(state: StandIn, body: dict[str, Any]) -> int:
    seen = list(body["messages"])
    if state.drops_system:
        seen = [m for m in seen if m["role"] != "system"]
    if state.drops_turns:
        seen = seen[-1:]
    if state.drops_thoughts:
        seen = [{k: v for k, v in m.items() if not k.startswith("reasoning")} for m in seen]
    return sum(len(str(value).split()) for m in seen for value in m.values())


def _message(state: StandIn, body: dict[str, Any]) -> dict[str, Any]:
    wrote = reply(state, body)
    text = wrote.text
    state.count += 1
    if state.mixes_batches and state.in_flight > 1:
        text = "Something else."
    if state.garbles:
        text = "\ufffd" + text[::-1]
    if state.loops and len(text) > 60:
        text = "the sea is wide and " * 60
    if state.rewrites or (state.rewrites_streams and body.get("stream")):
        text = text.replace("a", "o")
    if state.only_thinks:
        return {"role": "assistant", "reasoning": wrote.thought, "content": None}
    for stop in body.get("stop") or ():
        text = text if state.ignores_stop else text.split(stop)[0]
    if "response_format" in body and state.ignores_schema:
        text = "The Aurora was launched in 1900."
    calls = [
        {"id": f"call-{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(values)}}
        for i, (name, values) in enumerate(wrote.calls)
    ]
    if calls and state.wrong_tool_parser:
        text, calls = f'<minimax:tool_call>\n<invoke name="{wrote.calls[0][0]}">\n</minimax:tool_call>', []
    return {"role": "assistant", **_thoughts(state, wrote.thought, text), "tool_calls": calls}


def _thoughts(state: StandIn, thought: str, text: str) -> dict[str, Any]:
    if state.hides_thoughts:
        return {"content": text}
    if state.wrong_reasoning_parser:
        return {"content": f"{thought}\n</think>\n\n{text}"}
    if state.append_think:
        return {"content": f"<think>\n{thought}\n</think>\n\n{text}"}
    return {"reasoning": thought, "content": text}


def _logprobs(state: StandIn, body: dict[str, Any]) -> list[dict[str, Any]]:
    if not body.get("logprobs"):
        return []
    value = -3.0 if state.two_weights and state.count % 2 else -0.4
    if state.bad_logprobs:
        value = 1.5
    wrote = reply(state, body)
    tokens = re.findall(r"\s*\S+", f"{wrote.thought}\n</think>\n\n{wrote.text}")
    top = [{"token": str(i), "logprob": value - i} for i in range(body.get("top_logprobs", 0))]
    return [
        {"token": token, "bytes": list(token.encode()), "logprob": value, "top_logprobs": top}
        for token in tokens
    ]


@contextmanager
def serve(state: StandIn) -> Iterator[StandIn]:
    """Serve on a free port of loopback."""
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
