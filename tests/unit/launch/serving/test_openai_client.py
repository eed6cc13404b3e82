import pytest

from errors import Failed
from launch.serving.openai_client import Delta, _deltas, _events, _message


def test_reasoning_is_kept_apart_from_the_answer():
    event = {"choices": [{"delta": {"reasoning": "hm", "content": "yes"}}]}
    assert list(_deltas(event)) == [Delta("reasoning", "hm"), Delta("content", "yes")]


def test_the_older_name_of_reasoning_is_understood():
    assert list(_deltas({"choices": [{"delta": {"reasoning_content": "hm"}}]})) == [Delta("reasoning", "hm")]


def test_a_stream_ends_with_done():
    stream = [b'data: {"choices": []}\n', b"\n", b": a comment\n", b"data: [DONE]\n", b"data: never read\n"]
    assert list(_events(stream)) == [{"choices": []}]


def test_a_stream_that_just_stops_is_a_failure():
    with pytest.raises(Failed, match="broke off"):
        list(_events([b'data: {"choices": []}\n']))


def test_an_error_in_the_middle_of_a_stream_is_a_failure():
    with pytest.raises(Failed, match="EngineDeadError"):
        list(_deltas({"error": {"message": "EngineDeadError"}}))


def test_the_servers_own_message_is_shown():
    assert _message(b'{"error": {"message": "too long"}}') == "too long"
    assert _message(b"<html>") == "<html>"


@pytest.mark.parametrize("line", [b"data: {no json\n", b"data: \xff\xfe\n", b"data: [1, 2]\n", b"data: 5\n"])
def test_what_is_no_event_of_vllm_is_a_failure_and_no_crash(line):
    with pytest.raises(Failed, match="not what vLLM speaks"):
        list(_events([line]))


def test_an_event_without_a_word_is_passed_over():
    assert list(_deltas({"choices": None})) == list(_deltas({"choices": [{"delta": None}]})) == []


def test_a_stream_may_leave_out_the_blank_after_the_colon():
    assert list(_events([b'data:{"choices": []}\n', b"data:[DONE]\n"])) == [{"choices": []}]
