"""Answers of an API server become one clear message."""

from __future__ import annotations

import json

import pytest

from launch.deploy.answers import NotFound, error_of, warning_text

QUOTA = 'pods "a" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4'


def body(message: str) -> str:
    return json.dumps({"kind": "Status", "message": message})


@pytest.mark.parametrize(
    ("status", "message", "expected", "code"),
    [
        (401, "Unauthorized", "error: the cluster at H does not accept the login", 1),
        (403, 'deployments.apps "a" is forbidden: User "guest"', "error: the cluster forbids the request", 1),
        (403, QUOTA, "error: the quota of namespace 'N' is too small", 1),
        (409, "Apply failed with 1 conflict", "error: another program manages a field that the plan sets", 1),
        (422, "spec.replicas: Invalid value: -1", "error: the cluster refuses the object", 2),
        (503, "etcd is gone", "error: the cluster at H failed", 1),
    ],
)
def test_each_status_has_its_message(status: int, message: str, expected: str, code: int) -> None:
    error = error_of(status, body(message), "H", "N")
    assert str(error).splitlines()[0] == expected
    assert message in error.why
    assert error.fix
    assert error.code == code


def test_a_missing_object_can_be_told_apart() -> None:
    assert isinstance(error_of(404, body("not found"), "H", "N"), NotFound)


@pytest.mark.parametrize("text", ["<html>502 Bad Gateway</html>", "", "[1]", b"\xff\xfe"])
def test_an_answer_that_is_not_json_is_shown(text: str | bytes) -> None:
    """A proxy in front of the server answers with a page."""
    assert str(error_of(502, text, "H", "N")).startswith("error: the cluster at H failed\n  why: status 502")


def test_warnings_are_read_from_their_header() -> None:
    header = '299 - "unknown field \\"a\\"", 299 - "policy/v1beta1 is deprecated"'
    assert warning_text(header) == ['unknown field "a"', "policy/v1beta1 is deprecated"]
    assert warning_text("") == []
