"""A config.json that is damaged, or that has invalid values, is refused with one clear message."""

from __future__ import annotations

import json

import pytest

from errors import Refused
from launch.recipes.config_check import parse_config
from tests.unit.launch.checkpoints import LLAMA


def text(**changes: object) -> bytes:
    return json.dumps({**LLAMA, **changes}).encode()


def without(key: str) -> bytes:
    return json.dumps({name: value for name, value in LLAMA.items() if name != key}).encode()


def test_parse_config_returns_the_values() -> None:
    assert parse_config(text(), "a/b") == LLAMA


def test_parse_config_accepts_null_lists_and_unknown_keys() -> None:
    parse_config(text(head_dim=None, num_key_value_heads=[8, 4], sliding_window=0, anything={"a": 1}), "a/b")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"<!DOCTYPE html><html></html>", "an HTML page"),
        (b"<html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"[]", "a list instead of an object"),
        (b"null", "null instead of an object"),
        (b'"text"', "a string instead of an object"),
        (b"3", "a number instead of an object"),
        (b"NaN", "a number instead of an object"),
        (b"{}", "an empty object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (without("model_type"), "it has no model_type"),
        (text(model_type=7), "it has no model_type"),
        (without("architectures"), "it has no architectures"),
        (text(architectures=[]), "it has no architectures"),
        (text(architectures="LlamaForCausalLM"), "it has no architectures"),
        (text(architectures=[None]), "it has no architectures"),
        (text(num_hidden_layers="thirty-two"), 'num_hidden_layers is "thirty-two", not a whole number'),
        (text(num_hidden_layers=32.0), "num_hidden_layers is 32.0, not a whole number"),
        (text(hidden_size=True), "hidden_size is true, not a whole number"),
        (text(hidden_size=float("nan")), "hidden_size is NaN, not a whole number"),
        (text(num_attention_heads=0), "num_attention_heads is 0, not a positive number"),
        (text(vocab_size=-1), "vocab_size is -1, not a positive number"),
        (text(max_position_embeddings=10**30), "max_position_embeddings is larger than any model has"),
        (text(text_config={"hidden_size": "x" * 99}), "text_config.hidden_size is"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_parse_config_refuses_what_is_not_a_configuration(data: bytes, why: str) -> None:
    with pytest.raises(
        Refused, match=r"the config.json of a/b is not the configuration of a model"
    ) as refusal:
        parse_config(data, "a/b")
    assert why in refusal.value.why
    assert len(refusal.value.why) < 200
