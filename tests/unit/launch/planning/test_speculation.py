"""What speculative decoding adds to the memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launch.planning.speculation import Speculation, speculation
from launch.spec.model_config import ModelShape
from launch.spec.vllm_args import Draft, parse

MTP = ModelShape(mtp_layers=2)
CONFIGS: list[tuple[dict[str, Any], Speculation]] = [
    ({"method": "mtp", "num_speculative_tokens": 2}, Speculation("mtp", True, 2, 2)),
    ({"method": "deepseek_mtp", "num_speculative_tokens": 1}, Speculation("deepseek_mtp", True, 2, 1)),
    ({"num_speculative_tokens": 3}, Speculation("mtp", True, 2, 3)),
    ({"method": "eagle3", "model": "a/b", "num_speculative_tokens": 3}, Speculation("eagle3", False, 1, 3)),
    ({"method": "ngram", "num_speculative_tokens": 4}, Speculation("ngram", False, 0, 4)),
    ({"method": "mtp", "num_speculative_tokens": "2"}, Speculation("mtp", True, 2, 0)),
]


@pytest.mark.parametrize(("config", "expected"), CONFIGS)
def test_each_method(config: dict[str, Any], expected: Speculation) -> None:
    assert speculation(Draft(parse(("--speculative-config", json.dumps(config)))), MTP) == expected


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_config_that_cannot_be_read_adds_nothing(text: str) -> None:
    assert speculation(Draft(parse(("--speculative-config", text))), MTP) == Speculation()
    assert speculation(Draft(()), MTP) == Speculation()
