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


class Proxied(FakeCluster):
    """A cluster whose API server passes requests on to Services, unless `error` says why it cannot."""

    error = ""

    def request(self, method: str, path: str) -> Object:
        if "/proxy/" not in path:
            return super().request(method, path)
        if self.error:
            raise Failed("the cluster failed", why=self.error)
        return {"data": [{"id": "org/model"}]}


@pytest.mark.parametrize(
    ("key", "error", "policies", "way"),
    [
        ("", "", ["m2"], server.SERVICE),
        ("k", "", [], server.FORWARD),
        ("", "status 503: error trying to reach service: dial tcp: i/o timeout", ["m2"], server.FORWARD),
    ],
)
def test_a_server_is_asked_through_its_service_unless_a_key_or_a_policy_prevents_it(
    key: str, error: str, policies: list[str], way: str
) -> None:
    objects = {"Pod": [pod("a", key=key)], "NetworkPolicy": [{"metadata": {"name": one}} for one in policies]}
    cluster = Proxied(objects)
    cluster.error = error
    assert server.way_to(cast(Cluster, cluster), "m2") == way


def test_a_service_that_no_policy_hides_and_that_is_not_reached_is_an_error() -> None:
    cluster = Proxied({"Pod": [pod("a")]})
    cluster.error = "status 503: error trying to reach service: connection refused"
    with pytest.raises(Failed, match="the cluster failed"):
        server.way_to(cast(Cluster, cluster), "m2")
