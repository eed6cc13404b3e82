"""Certificates of an own CA, named by the variables that other tools read."""

from __future__ import annotations

import pytest

from errors import Failed
from images.lock import wheel_index
from launch.http.connection import CA_BUNDLE_VARIABLES
from launch.weights.fetch import fetch_model
from tests.http.conftest import COMMIT, HUB, MODEL, WHEELS, Servers

pytestmark = pytest.mark.parametrize("upstreams", ["https"], indirect=True)


@pytest.mark.parametrize("name", CA_BUNDLE_VARIABLES)
def test_every_ca_bundle_variable_is_used(
    name: str, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    with pytest.raises(Failed, match="certificate is not trusted"):
        fetch_model(MODEL, cache=servers.folder / "cache", endpoint=servers.loopback_url(HUB))
    with pytest.raises(Failed, match="certificate is not trusted"):
        wheel_index.find(servers.loopback_url(WHEELS), COMMIT)
    monkeypatch.setenv(name, str(servers.certificate))
    assert fetch_model(MODEL, cache=servers.folder / "cache", endpoint=servers.loopback_url(HUB)).files == 1
    assert wheel_index.find(servers.loopback_url(WHEELS), COMMIT).version == "1.0"


def test_a_missing_ca_bundle_is_explained(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(Failed, match=r"SSL_CERT_FILE=.* is not a CA bundle"):
        wheel_index.find(servers.loopback_url(WHEELS), COMMIT)
