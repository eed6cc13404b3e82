"""JSON values that vLLM's parser accepts and its server refuses."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.json_limits import check_json, check_repeated
from launch.planning.vllm_versions import USER
from launch.spec.vllm_args import Arg, Draft, parse


def users(*pairs: tuple[str, str]) -> Draft:
    return Draft(tuple(Arg(flag, (value,), USER) for flag, value in pairs))


WRONG: dict[tuple[str, str], str] = {
    ("--limit-mm-per-prompt", "[]"): "must be a JSON object (got '[]')",
    ("--limit-mm-per-prompt", "3"): "must be a JSON object",
    ("--limit-mm-per-prompt", '{"image": -1}'): "key 'image' must be a non-negative integer (got -1)",
    ("--limit-mm-per-prompt", '{"image": "x"}'): "must be a non-negative integer",
    ("--limit-mm-per-prompt", '{"image": {"count": true}}'): "must be a non-negative integer",
    ("--limit-mm-per-prompt", '{"imagee": 1}'): "has no key 'imagee'. Did you mean `image`",
    ("--limit-mm-per-prompt.image", "x"): "must be a non-negative integer",
    ("--media-io-kwargs", '{"video": 3}'): "key 'video' must be object (got 3)",
    ("--mm-processor-kwargs", "[1]"): "must be a JSON object",
    ("--override-generation-config", "[]"): "must be a JSON object",
    ("--additional-config", "["): "must be a JSON object (got '[')",
    ("--allowed-origins", "{}"): "must be a JSON list of texts",
    ("--allowed-origins", "[1]"): "must be a JSON list of texts",
    ("--kv-transfer-config", "{}"): "needs the key 'kv_connector'",
    ("--kv-transfer-config", '{"kv_role": "kv_both"}'): "needs the key 'kv_connector'",
    ("--kv-transfer-config", '{"kv_connector": "NixlConnector"}'): "needs the key 'kv_role'",
    ("--kv-transfer-config.kv_connector", "NixlConnector"): "needs the key 'kv_role'",
    ("--kv-transfer-config", '{"kv_connector": "NixlConector", "kv_role": "kv_both"}'): "`NixlConnector`",
    ("--compilation-config", '{"custom_ops": ["x"]}'): "key 'custom_ops' must be all, none, +NAME or -NAME",
    ("--custom-histogram-buckets", '{"a": 1}'): "key 'a' must be a list of numbers (got 1)",
    ("--ec-transfer-config.ec_connector", "X"): "needs the key 'ec_role'",
    ("--model-class-overrides", "[]"): "must be a JSON object",
    ("--model-class-overrides", '{"a": 1}'): "key 'a' must be string",
    ("--profiler-config", '{"profiler": "torch"}'): "needs the key 'torch_profiler_dir'",
    ("--profiler-config.proton_profiler_dir", "/tmp/x"): "needs the key 'profiler' with proton",
    ("--watermark-config", "{}"): "needs the key 'key'",
    ("--speculative-config", "{}"): "needs the key 'method' or 'model'",
    ("--speculative-config", '{"num_speculative_tokens": 1}'): "needs the key 'method' or 'model'",
    ("--speculative-config", '{"method": "eagle3", "num_speculative_tokens": 3}'): "needs the key 'model'",
    ("--speculative-config", '{"method": "ngram"}'): "needs the key 'num_speculative_tokens'",
    (
        "--speculative-config",
        '{"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_min": 5, "prompt_lookup_max": 2}',
    ): "'prompt_lookup_min' (5) must be at most 'prompt_lookup_max' (2)",
}


@pytest.mark.parametrize(("setting", "message"), WRONG.items())
def test_a_wrong_object_of_the_user_is_refused(setting: tuple[str, str], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_json(users(setting))
    assert message in str(refusal.value)


RIGHT = [
    ("--limit-mm-per-prompt", '{"image": 2, "video": {"count": 1, "num_frames": 32}}'),
    ("--allowed-origins", '["*"]'),
    ("--media-io-kwargs", '{"video": {"num_frames": 40}}'),
    ("--kv-transfer-config", "None"),
    ("--kv-transfer-config", '{"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}'),
    (
        "--kv-transfer-config",
        '{"kv_connector": "Mine", "kv_role": "kv_both", "kv_connector_module_path": "a.b"}',
    ),
    ("--speculative-config", '{"method": "mtp", "num_speculative_tokens": 1}'),
    ("--speculative-config", '{"method": "qwen3_next_mtp", "num_speculative_tokens": 1}'),
    ("--speculative-config", '{"method": "suffix"}'),
    ("--compilation-config", '{"custom_ops": ["+rms_norm", "none"]}'),
    ("--custom-histogram-buckets", '{"a": [0.5, 1]}'),
    ("--profiler-config", '{"profiler": "torch", "torch_profiler_dir": "/tmp/x"}'),
    ("--watermark-config", '{"key": 3}'),
    ("--speculative-config", '{"model": "org/draft", "num_speculative_tokens": 3}'),
]


@pytest.mark.parametrize("setting", RIGHT)
def test_what_the_server_accepts_passes(setting: tuple[str, str]) -> None:
    check_json(users(setting))


def test_keys_of_dotted_options_are_read_together() -> None:
    check_json(
        users(
            ("--kv-transfer-config.kv_connector", "NixlConnector"),
            ("--kv-transfer-config.kv_role", "kv_both"),
        )
    )


def test_an_object_of_the_recipe_is_not_judged_here() -> None:
    check_json(Draft(parse(("--limit-mm-per-prompt", "[]"), "recipe.yaml")))


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"x": {"a": 1, "a": [1]}}', '{"a": 1, "b": 2, "a": null}']
)
def test_a_key_with_two_values_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="the key 'a' is given twice, with 1 and"):
        check_repeated("--compilation-config", text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "{{ template }}", "[1, 1]", "", "x"])
def test_other_texts_pass(text: str) -> None:
    check_repeated("--chat-template", text)
