"""Image references: the parts, the defaults, and text that is parsed again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.spec.image_reference import ImageReference, short_id

SHA = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python:3.12-slim", ("docker.io", "library/python", "3.12-slim", "")),
        ("python", ("docker.io", "library/python", "", "")),
        ("index.docker.io/python", ("docker.io", "library/python", "", "")),
        (f"docker.io/rocm/vllm-dev@{SHA}", ("docker.io", "rocm/vllm-dev", "", SHA)),
        (f"a/b:t@{SHA}", ("docker.io", "a/b", "t", SHA)),
        ("127.0.0.1:5000/x:1", ("127.0.0.1:5000", "x", "1", "")),
        ("127.0.0.1:5000/vllm", ("127.0.0.1:5000", "vllm", "", "")),
        ("[::1]:5000/a/b", ("[::1]:5000", "a/b", "", "")),
        ("localhost/x:1", ("localhost", "x", "1", "")),
        (f"registry.example/team/vllm:v1@{SHA}", ("registry.example", "team/vllm", "v1", SHA)),
    ],
)
def test_parse_returns_the_parts(text: str, parts: tuple[str, str, str, str]) -> None:
    image = ImageReference.parse(text)
    assert (image.registry, image.repository, image.tag, image.digest) == parts


@pytest.mark.parametrize(
    ("text", "version"), [("a/b", "latest"), ("a/b:t", "t"), (f"a/b@{SHA}", SHA), (f"a/b:t@{SHA}", SHA)]
)
def test_version_is_the_digest_or_the_tag_or_latest(text: str, version: str) -> None:
    assert ImageReference.parse(text).version == version


parts = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=9)
registries = st.sampled_from(["docker.io", "localhost", "registry.example", "127.0.0.1:5000", "[::1]:5000"])
repositories = st.lists(parts, min_size=2, max_size=4).map("/".join)
tags = st.one_of(st.just(""), st.text("abc019_.-", min_size=1, max_size=9))
digests = st.one_of(st.just(""), st.just(SHA))


@given(st.builds(ImageReference, registries, repositories, tags, digests))
def test_parse_restores_every_reference_from_its_text(image: ImageReference) -> None:
    assert ImageReference.parse(str(image)) == image
    assert ImageReference.parse(image.name) == ImageReference(image.registry, image.repository)


@given(st.text("aB./:@-é ", max_size=12))
def test_parse_accepts_any_text(text: str) -> None:
    image = ImageReference.parse(text)
    assert image.registry
    assert "@" not in image.name
    assert "/" not in image.tag


@pytest.mark.parametrize(
    "text", ["a/b@sha256:0123456789abcdef", "sha256:0123456789abcdef", "a/b:t@sha256:0123456789abcdef"]
)
def test_short_id_is_the_start_of_the_digest_or_id(text: str) -> None:
    assert short_id(text) == "0123456789ab"


def test_short_id_of_a_tag_differs_between_tags() -> None:
    assert len(short_id("vllm/vllm-openai:v0.31.0")) == 12
    assert short_id("vllm/vllm-openai:v0.31.0") != short_id("vllm/vllm-openai:v0.32.0")
