"""Settings of the host as a build gets them: pip's, apt's, proxies and certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from images import host_settings
from launch.http.connection import CA_BUNDLE_VARIABLES


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*host_settings.PROXY_VARIABLES, *CA_BUNDLE_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def test_uv_environment_translates_pip_settings() -> None:
    settings = {
        "index-url": "https://index/simple",
        "extra-index-url": "file:///local https://more/simple",
        "trusted-host": "index",
    }
    assert host_settings.uv_environment(settings, "https://wheels/cpu") == {
        "UV_DEFAULT_INDEX": "https://index/simple",
        "UV_INDEX": "https://more/simple https://wheels/cpu",
        "UV_INSECURE_HOST": "index",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_a_proxy_for_the_build_replaces_the_proxy_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://host:1")
    assert host_settings.uv_environment({}, "", "http://build:2")["HTTPS_PROXY"] == "http://build:2"
    assert 'Acquire::http::Proxy "http://build:2";' in host_settings.apt_settings("http://build:2")


def test_pip_settings_adds_up_find_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nfind-links =\n    /one\n    /two\nindex-url = https://index/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/three")
    settings = host_settings.pip_settings()
    assert {"/one", "/two", "/three"} <= set(settings["find-links"].split())
    assert settings["index-url"] == "https://index/simple"


def test_as_shell_file_quotes_values() -> None:
    assert (
        host_settings.as_shell_file({"UV_INDEX": "https://a https://b"}) == "UV_INDEX='https://a https://b'\n"
    )


def test_ca_bundle_is_the_first_existing_file_that_the_host_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_settings.ca_bundle({}) is None
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    assert host_settings.ca_bundle({"cert": str(bundle)}) == bundle
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert host_settings.ca_bundle({"cert": str(bundle)}) == bundle
