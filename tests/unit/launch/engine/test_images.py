import pytest

from errors import Failed
from launch.engine.images import follow, split


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("vllm/vllm-openai:v0.32.0", ("vllm/vllm-openai", "v0.32.0")),
        ("127.0.0.1:5000/vllm", ("127.0.0.1:5000/vllm", "latest")),
        ("127.0.0.1:5000/vllm:x", ("127.0.0.1:5000/vllm", "x")),
        ("rocm/vllm-dev@sha256:ab", ("rocm/vllm-dev", "sha256:ab")),
    ],
)
def test_a_reference_is_a_repository_and_a_tag_or_digest(reference, parts):
    assert split(reference) == parts


def test_an_error_in_the_stream_is_a_failure_though_the_stream_ends_well():
    with pytest.raises(Failed, match="manifest unknown"):
        follow([{"status": "Pulling"}, {"error": "manifest unknown"}], lambda *_: None)


def test_bytes_of_all_layers_are_added_up():
    seen = []
    records = [
        {"id": "a", "status": "Downloading", "progressDetail": {"current": 10, "total": 100}},
        {"id": "b", "status": "Downloading", "progressDetail": {"current": 5, "total": 50}},
        {"id": "a", "status": "Download complete", "progressDetail": {}},
    ]
    follow(records, lambda done, total, note: seen.append((done, total)))
    assert seen == [(10, 100), (15, 150), (105, 150)]
