"""References as people write them, and where the registry they name listens."""

import pytest

from errors import Refused
from images.registry import address


def test_url_of_uses_http_only_on_loopback():
    assert address.url_of("127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert address.url_of("registry.example") == "https://registry.example"
    assert address.url_of("[::1]:5000") == "http://[::1]:5000"


@pytest.mark.parametrize(
    ("given", "host", "repository"),
    [
        ("registry.example", "registry.example", ""),
        ("localhost/x/", "localhost", "x"),
        ("127.0.0.1:5000/team-1/v_llm/a.b", "127.0.0.1:5000", "team-1/v_llm/a.b"),
        ("[::1]:5000/x", "[::1]:5000", "x"),
    ],
)
def test_a_place_is_a_registry_and_a_repository(given, host, repository):
    assert address.parse_target("--to", given) == (host, repository)


@pytest.mark.parametrize(
    "given",
    ["", "vllm", "http://127.0.0.1/x", "127.0.0.1:0/x", "127.0.0.1:99999/x", "127.0.0.1:a/x", "a b.example/x"]
    + [
        f"127.0.0.1:5000/{name}"
        for name in ("X", "a b", "a//b", "../x", "-x", "x-", "x:1", "x@sha256:1", "é")
    ],
)
def test_what_is_no_place_is_refused(given):
    with pytest.raises(Refused, match="--to"):
        address.parse_target("--to", given)


def test_a_repository_is_named_without_its_tag():
    assert address.parse_repository("--base", "vllm/vllm-openai") == "vllm/vllm-openai"
    assert address.parse_repository("--base", "127.0.0.1:5000/x") == "127.0.0.1:5000/x"
    for given in ("vllm/x:1", "vllm/x@sha256:1", "127.0.0.1:5000/x:1", "vllm/X", "", "vllm/"):
        with pytest.raises(Refused, match="--base"):
            address.parse_repository("--base", given)


@pytest.mark.parametrize(
    "given", ["nonsense", "ftp://h/x", "http://", "http://h:99999", "http://h:0", "http://h/a b"]
)
def test_what_is_no_web_address_is_refused(given):
    assert address.parse_url("--wheels", "https://h:1/x/") == "https://h:1/x"
    with pytest.raises(Refused, match="is not an http"):
        address.parse_url("--wheels", given)
