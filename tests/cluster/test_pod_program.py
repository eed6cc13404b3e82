"""A program in a pod: its output, its exit status, and the error if it does not run."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from errors import Failed
from launch.deploy import pod_program
from tests.cluster.api_server import Peer, api_server

OK = b'{"status": "Success"}'
NOT_FOUND = json.dumps({"status": "Failure", "message": "exec: no such file"}).encode()


def failure(status: int) -> bytes:
    causes = [{"reason": "ExitCode", "message": str(status)}]
    return json.dumps({"status": "Failure", "details": {"causes": causes}}).encode()


def test_lines_of_both_streams_and_the_exit_status() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        for channel, data in ((1, b"one\ntw"), (2, b"o\n"), (3, failure(2))):
            peer.send(channel, data)
        peer.close()

    lines: list[str] = []
    with api_server(script) as cluster:
        assert pod_program.run(cluster, "m2-1", ["cat", "a b"], lines.append) == (2, "one\ntwo")
    assert lines == ["one", "two"]


def test_the_command_is_not_a_shell_text() -> None:
    paths: list[str] = []

    def script(peer: Peer) -> None:
        paths.append(peer.path)
        peer.accept()
        peer.send(3, OK)
        peer.close()

    with api_server(script) as cluster:
        assert pod_program.run(cluster, "m2-1", ["cat", "a b&c", "$X"]) == (0, "")
    query = parse_qs(urlsplit(paths[0]).query)
    assert query["command"] == ["cat", "a b&c", "$X"]
    assert "stdin" not in query


@pytest.mark.parametrize(
    ("last", "what"), [(NOT_FOUND, "did not run"), (b"", "ended without a status")], ids=["message", "none"]
)
def test_a_program_that_does_not_run_is_an_error(last: bytes, what: str) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        if last:
            peer.send(3, last)
        peer.close()

    with api_server(script) as cluster, pytest.raises(Failed, match=what):
        pod_program.run(cluster, "m2-1", ["x"])


def test_an_api_server_that_goes_away_is_one_clear_line() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(1, b"line\n")

    with api_server(script) as cluster, pytest.raises(Failed, match="the connection to the cluster at"):
        pod_program.run(cluster, "m2-1", ["x"])
