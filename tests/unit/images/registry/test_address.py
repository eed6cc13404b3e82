from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from errors import Refused
from images.registry import address


def test_url_of_uses_http_only_on_loopback() -> None:
    assert address.url_of("127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert address.url_of("registry.example") == "https://registry.example"
    assert address.url_of("[::1]:5000") == "http://[::1]:5000"


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("registry.example", "registry.example", ""),
        ("localhost/x/", "localhost", "x"),
        ("127.0.0.1:5000/team-1/v_llm/a.b", "127.0.0.1:5000", "team-1/v_llm/a.b"),
        ("[::1]:5000/x", "[::1]:5000", "x"),
    ],
)
def test_parse_target_splits_host_and_repository(text: str, host: str, repository: str) -> None:
    assert address.parse_target("--to", text) == (host, repository)


@pytest.mark.parametrize(
    "text",
    ["", "vllm", "http://127.0.0.1/x", "127.0.0.1:0/x", "127.0.0.1:99999/x", "127.0.0.1:a/x", "a b.example/x"]
    + [
        f"127.0.0.1:5000/{name}"
        for name in ("X", "a b", "a//b", "../x", "-x", "x-", "x:1", "x@sha256:1", "é")
    ],
)
def test_parse_target_refuses_an_invalid_target(text: str) -> None:
    with pytest.raises(Refused, match="--to"):
        address.parse_target("--to", text)


@pytest.mark.parametrize("text", ["vllm/vllm-openai", "127.0.0.1:5000/x", "python"])
def test_parse_repository_returns_a_repository(text: str) -> None:
    assert address.parse_repository("--base", text) == text


@pytest.mark.parametrize(
    "text",
    ["vllm/x:1", "vllm/x@sha256:1", "127.0.0.1:5000/x:1", "127.0.0.1:5000", "vllm/x:", "vllm/X", "", "vllm/"],
)
def test_parse_repository_refuses_a_tag_and_an_invalid_name(text: str) -> None:
    with pytest.raises(Refused, match="--base"):
        address.parse_repository("--base", text)


@pytest.mark.parametrize(
    "text", ["nonsense", "ftp://h/x", "http://", "http://h:99999", "http://h:0", "http://h/a b"]
)
def test_parse_url_refuses_an_invalid_url(text: str) -> None:
    assert address.parse_url("--wheels", "https://h:1/x/") == "https://h:1/x"
    with pytest.raises(Refused, match=r"is not an http\(s\) URL"):
        address.parse_url("--wheels", text)


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_stored_login_is_read_from_dockers_configuration(docker_config: Path) -> None:
    login = base64.b64encode(b"me:pw").decode()
    assert address.stored_login("registry.example") == ""
    docker_config.write_text(json.dumps({"auths": {"https://registry.example": {"auth": login}}}))
    assert address.stored_login("registry.example") == login
    assert address.engine_login("registry.example") == {"username": "me", "password": "pw"}
    assert address.stored_login("other.example") == ""
    assert address.engine_login("other.example") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"auths": {"h.example": {"auth": "no base64"}}}', '{"auths": {"h.example": 1}}']
)
def test_stored_login_refuses_an_invalid_configuration(text: str, docker_config: Path) -> None:
    docker_config.write_text(text)
    with pytest.raises(Refused, match="has no valid docker logins") as error:
        address.stored_login("h.example")
    assert error.value.fix == "docker logout h.example; docker login h.example"


def test_stored_login_needs_no_home_directory_if_its_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert address.stored_login("registry.example") == ""
