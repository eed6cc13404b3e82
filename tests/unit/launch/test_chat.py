import pytest

from errors import Failed
from launch.chat import Delta, _deltas, _events, _message


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
