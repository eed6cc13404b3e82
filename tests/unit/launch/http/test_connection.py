from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from errors import Failed
from launch.http.connection import CA_BUNDLE_VARIABLES, Route, tls_context

PROXY = {"http": "http://me:pw@proxy:3129", "https": "http://me:pw@proxy:3129"}
LOGIN = "Basic bWU6cHc="


def test_route_to_an_ipv6_address_without_a_port() -> None:
    connection = Route.to("http://[::abcd]/x", {}).connection(timeout=1)
    assert (connection.host, connection.port) == ("::abcd", 80)


def test_route_through_an_http_proxy_sends_the_whole_url_and_the_proxys_login() -> None:
    route = Route.to("http://user:secret@hub:81/x?y=1#z", PROXY)
    connection = route.connection(timeout=1)
    assert (connection.host, connection.port) == ("proxy", 3129)
    assert route.target == "http://hub:81/x?y=1"
    assert route.headers["Proxy-Authorization"] == LOGIN


def test_route_through_a_tunnel_does_not_send_the_proxys_login_to_the_host() -> None:
    route = Route.to("https://hub/x", PROXY)
    assert route.target == "/x"
    assert "Proxy-Authorization" not in route.headers


@pytest.mark.parametrize("name", CA_BUNDLE_VARIABLES)
def test_tls_context_names_the_variable_of_an_invalid_bundle(name: str, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("no certificate")
    for path in (tmp_path / "bundle", tmp_path / "missing"):
        with pytest.raises(Failed, match=f"{name}=.* is not a CA bundle"):
            tls_context({name: str(path)})


def test_tls_context_without_system_certificates_falls_back_to_certifi() -> None:
    code = (
        "import ssl; from launch.http.connection import tls_context\n"
        "ssl.create_default_context = lambda **options: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "assert tls_context({}).get_ca_certs()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
