"""Parse a Prometheus page of vLLM."""

from __future__ import annotations

from launch.serving.metrics import Load, ProgressReading, parse_page, parse_progress, rate_between

PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1000.0
vllm:generation_tokens_total_created{engine="0"} 1.7e9
"""


def test_parse_page_adds_up_all_engines() -> None:
    assert parse_page(PAGE) == Load(running=3, tokens=1000)


def test_parse_page_without_vllm_metrics_is_an_idle_server() -> None:
    assert parse_page("up 1\n") == Load(0, 0)


def test_parse_page_ignores_lines_without_a_number() -> None:
    page = "vllm:num_requests_running x\nvllm:generation_tokens_total\nvllm:generation_tokens_total NaN\n"
    assert parse_page(page) == Load(0, 0)


def test_rate_between_divides_the_new_tokens_by_the_time() -> None:
    assert rate_between(Load(3, 900), PAGE, 0.5).tokens_per_s == 200


def test_rate_between_is_unknown_if_the_second_reading_failed() -> None:
    assert rate_between(Load(3, 900), None, 0.5) == Load(3, 900)


def test_parse_progress_keeps_the_engines_apart() -> None:
    page = PAGE + 'vllm:prompt_tokens_total{model_name="m",engine="1"} 7\n'
    assert parse_progress(page) == {"0": ProgressReading(2, 1000), "1": ProgressReading(1, 7)}
    assert parse_progress("vllm:num_requests_running 1\n") == {"0": ProgressReading(1, 0)}
    assert parse_progress("up 1\n") == {}
