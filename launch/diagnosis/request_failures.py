"""Tell the failed requests that a server is to blame for from those that a client caused."""

from __future__ import annotations

import re

from launch.diagnosis.log_summary import LogSummary
from launch.diagnosis.rules import Rules
from launch.diagnosis.types import Severity, Traceback

# Code that serves a request, in the stack of an exception.
_SERVES_REQUEST = re.compile(
    r"vllm/entrypoints/|starlette/|fastapi/|uvicorn/|tool_parser|reasoning|vllm/multimodal/|chat_utils|renderers/"
)
# Code of the engine: older versions of vLLM do not name its process in their log.
_RUNS_MODEL = re.compile(r"vllm/(?:v1/)?(?:worker|executor)/|vllm/model_executor/")
_ENGINE = re.compile(r"EngineCore|\w*Worker")
_TRANSFERS = re.compile(r"kv_transfer/|kv_connector|^nixl|^mooncake")
# Answered requests for each failed one: fewer show that the failure is not that of a single request.
_RARE = 10


def refusals(requests: list[Traceback], summary: LogSummary, rules: Rules) -> list[Traceback]:
    """Return the failures of requests that are the server's: repeated, or followed by no answer or token.

    A failed transfer of the KV cache is always one: vLLM computes the tokens again and answers all the same.
    """
    failures = [one for one in requests if _is_of_request(one) and is_server_error(one, rules)]
    alive = max(summary.last_answer, summary.last_activity)
    unanswered = [one for one in failures if one.root.number > alive]
    repeated = [one for one in failures if sum(_same(one, other) for other in failures) > 1]
    found = unanswered or repeated
    frequent = found if _RARE * len(found) >= summary.answers else []
    return frequent or [
        one for one in requests if _is_of_frames(one, _TRANSFERS) and is_server_error(one, rules)
    ]


def _is_of_request(traceback: Traceback) -> bool:
    logged = traceback.severity is Severity.LOGGED
    in_engine = _ENGINE.match(traceback.root.process_name) or _is_of_frames(traceback, _RUNS_MODEL)
    return (logged and bool(in_engine)) or _is_of_frames(traceback, _SERVES_REQUEST)


def _is_of_frames(traceback: Traceback, frames: re.Pattern[str]) -> bool:
    return any(frames.search(frame) for each in traceback.exceptions for frame in each.frames)


def is_server_error(traceback: Traceback, rules: Rules) -> bool:
    """Whether the failure of a request is not one that its client caused."""
    return not any(rules.is_client_error(each.text) for each in traceback.exceptions)


def _same(one: Traceback, other: Traceback) -> bool:
    return one.root.frames[-1:] == other.root.frames[-1:] and one.root.lines[0] == other.root.lines[0]
