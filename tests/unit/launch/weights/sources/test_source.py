"""What an answer without bytes means, and who is said to ask."""

from __future__ import annotations

from email.message import Message

import pytest

from errors import Failed
from launch.http.connection import Route
from launch.http.pool import ConnectionPool
from launch.http.ranges import Answered
from launch.http.retry import RetryPolicy, Transient
from launch.http.url import authorization
from launch.weights.manifest import Entry
from launch.weights.sources.source import HubFiles
from launch.weights.transfer.scheduler import explained

ENTRY = Entry("model.safetensors", 5, "0" * 64)


@pytest.mark.parametrize(
    ("where", "code", "kind"),
    [
        ("http://hub/a/b/resolve/c/model.safetensors", "", Failed),
        ("http://hub/signed?until=1", "", Transient),  # a storage on the Hub's own host
        ("http://hub/new/name/resolve/c/model.safetensors", "GatedRepo", Failed),  # a model that moved
        ("http://storage/signed?until=1", "", Transient),
    ],
)
def test_an_address_that_expired_is_asked_for_again_and_a_refusal_is_one(where, code, kind):
    asked = "http://hub/a/b/resolve/c/model.safetensors"
    headers = Message()
    headers["X-Error-Code"] = code
    files = HubFiles("http://hub", "a/b", "c")
    assert isinstance(files._verdict(ENTRY, Answered(403, headers, where), where != asked), kind)


def test_a_token_says_who_asks_and_without_one_the_login_in_the_address():
    assert authorization("http://me:pw@hub", "") == "Basic bWU6cHc="
    assert authorization("http://me:pw@hub", "hf_x") == "Bearer hf_x"
    assert authorization("http://hub", "") == ""


def test_an_ipv6_address_without_a_port_is_understood():
    connection = Route.to("http://[::abcd]/x").connection(timeout=1)
    assert (connection.host, connection.port) == ("::abcd", 80)


@pytest.mark.parametrize(("number", "fix"), [(24, "ulimit -n"), (27, "ulimit -f")])
def test_a_limit_of_the_process_is_no_fault_of_the_disk(number, fix, tmp_path):
    said = explained(OSError(number, "too much"), tmp_path)
    assert fix in said.fix
    assert "disk" not in str(said)


def test_no_more_files_is_not_waited_out_as_if_a_server_failed(monkeypatch):
    def full(*words, **more):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("socket.create_connection", full)
    with pytest.raises(OSError, match="Too many open files"):
        ConnectionPool(RetryPolicy()).get("http://hub", {})
