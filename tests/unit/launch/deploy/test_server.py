"""Which pod is asked, and with which key."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import cast

import pytest

from errors import Failed, Refused
from launch.deploy import server
from launch.deploy.client import Cluster, Object
from tests.unit.launch.deploy.fake_cluster import FakeCluster
from tests.unit.launch.deploy.pods import pod

SECRET = {"metadata": {"name": "k"}, "data": {"VLLM_API_KEY": b64encode(b"sk-1").decode()}}


def fake(*pods: Object, forbidden: tuple[str, ...] = ()) -> Cluster:
    return cast(Cluster, FakeCluster({"Pod": list(pods), "Secret": [SECRET]}, forbidden=forbidden))


def test_a_ready_pod_is_asked() -> None:
    found = server._ready_pod(fake(pod("a", ready=False), pod("worker", api=False), pod("b")), "m2")
    assert found["metadata"]["name"] == "b"


def test_without_a_ready_pod_the_status_tells_why() -> None:
    with pytest.raises(Failed, match="no pod of 'm2' is ready") as failed:
        server._ready_pod(fake(pod("a", ready=False)), "m2")
    assert failed.value.fix == "invoke deploy --status"
    with pytest.raises(Failed, match="no server 'm2' in namespace 'models'"):
        server._ready_pod(fake(), "m2")


def test_the_key_is_that_of_the_secret() -> None:
    assert server._key(fake(), pod(key="k")) == "sk-1"
    assert server._key(fake(), pod()) == ""


def test_a_user_who_may_not_read_secrets_uses_the_key_of_this_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "key_file", lambda: tmp_path / "api-key.env")
    cluster = fake(forbidden=("Secret",))
    with pytest.raises(Failed, match="the server needs the API key of the Secret 'k'"):
        server._key(cluster, pod(key="k"))
    (tmp_path / "api-key.env").write_text("VLLM_API_KEY=sk-2\n")
    assert server._key(cluster, pod(key="k")) == "sk-2"


def test_a_server_with_tls_is_refused() -> None:
    made = pod("a")
    probe = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTPS"}}
    made["spec"]["containers"][0]["readinessProbe"] = probe
    with pytest.raises(Refused, match="answers HTTPS only"), server.reached(fake(made), "m2"):
        pass


def test_the_revision_is_in_the_command() -> None:
    assert server.Reached(pod(), "http://127.0.0.1:1", "org/model", "", 8000).revision == "abc123"
