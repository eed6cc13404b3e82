from launch.serving.metrics import Load, between, read

PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1000.0
vllm:generation_tokens_total_created{engine="0"} 1.7e9
"""


def test_the_engines_of_a_server_are_added_up():
    assert read(PAGE) == Load(running=3, tokens=1000)


def test_tokens_a_second_are_what_came_between_two_readings():
    assert between(Load(3, 900), PAGE, 0.5).tokens_per_s == 200


def test_a_server_that_went_away_in_between_has_no_rate():
    assert between(Load(3, 900), None, 0.5) == Load(3, 900)


def test_a_page_without_our_figures_is_an_idle_server():
    assert read("up 1\n") == Load(0, 0)


def test_a_line_without_a_number_counts_for_nothing():
    page = "vllm:num_requests_running x\nvllm:generation_tokens_total\nvllm:generation_tokens_total NaN\n"
    assert read(page) == Load(0, 0)
