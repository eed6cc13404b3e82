"""Names on vLLM's /metrics page (vllm/v1/metrics/loggers.py of vLLM 0.11 to 0.32) that more than one part reads."""

from __future__ import annotations

RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
TOKENS = "vllm:generation_tokens_total"
# Every step of an engine adds to one of these: a prefill in pieces generates no token until it ends.
STEPS = (TOKENS, "vllm:prompt_tokens_total", "vllm:iteration_tokens_total_count")
