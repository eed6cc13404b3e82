from __future__ import annotations

import pytest

from launch.http.url import authorization, is_http_url, origin, printable, public, redirect_target


def test_authorization_is_the_token_else_the_login_in_the_url() -> None:
    assert authorization("http://me:pw@hub") == "Basic bWU6cHc="
    assert authorization("http://me:p%40w@hub") == "Basic bWU6cEB3"
    assert authorization("http://me:pw@hub", "hf_x") == "Bearer hf_x"
    assert authorization("http://hub") == ""


def test_origin_has_the_default_port_and_a_lower_case_host() -> None:
    assert origin("https://Hub.example/x") == ("https", "hub.example", 443)
    assert origin("http://hub:81") == ("http", "hub", 81)


@pytest.mark.parametrize(
    "text", ["", "hub", "ftp://hub", "http://", "http://a b", "http://h:x", "http://h\n"]
)
def test_is_http_url_is_false_for_anything_else(text: str) -> None:
    assert is_http_url("http://hub/x")
    assert not is_http_url(text)


def test_public_has_no_login_and_no_query() -> None:
    assert public("https://me:pw@hub/x?signature=secret") == "https://hub/x"


def test_printable_is_one_short_line_without_control_characters() -> None:
    assert printable(" a\x1b[2J\nb ") == "a [2J b"
    assert len(printable("x" * 500)) == 200


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/y", "http://hub/y"),
        ("y z", "http://hub/y%20z"),
        ("https://other/x", "https://other/x"),
        ("", ""),
        ("file:///etc/passwd", ""),
        ("http://[::1/", ""),
        ("http://h:99999/", ""),
    ],
)
def test_redirect_target_is_a_url_or_empty(location: str, target: str) -> None:
    assert redirect_target("http://hub/x", location) == target
