"""References as people write them, and where the registry they name listens."""

from images import address


def test_docker_hub_and_plain_hosts_are_told_apart():
    assert address.split("python:3.12-slim") == ("docker.io", "library/python", "3.12-slim")
    assert address.split("docker.io/rocm/vllm-dev@sha256:1") == ("docker.io", "rocm/vllm-dev", "sha256:1")
    assert address.split("127.0.0.1:5000/x:1") == ("127.0.0.1:5000", "x", "1")
    assert address.url_of("127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert address.url_of("registry.example") == "https://registry.example"
