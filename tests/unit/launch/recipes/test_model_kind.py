"""What vLLM cannot serve as a chat model is refused by its files and its architecture."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.recipes.model_kind import architectures, check_files, check_kind, is_weights

COMPLETE = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("adapter_config.json", "adapter_model.safetensors"), "is a LoRA adapter"),
        (("adapter_config.json", "adapter_model.bin", "config.json"), "is a LoRA adapter"),
        (("model-Q4_K_M.gguf", "README.md"), "has only GGUF files"),
        (("model-Q4_K_M.gguf", "config.json"), "has only GGUF files"),
        (("model_index.json",), "is a pipeline of Diffusers"),
        (("params.json", "consolidated.safetensors"), "has no config.json"),
        ((), "has no config.json"),
        (("config.json", "tokenizer.json", "training_args.bin"), "has no weights"),
    ],
)
def test_check_files_refuses_what_is_not_a_model(names: tuple[str, ...], what: str) -> None:
    with pytest.raises(Refused, match=f"^error: x {what}"):
        check_files(names, "x")


@pytest.mark.parametrize("extra", [(), ("model.gguf",), ("adapter_config.json",)])
def test_check_files_accepts_a_model(extra: tuple[str, ...]) -> None:
    check_files((*COMPLETE, *extra), "x")


@pytest.mark.parametrize(
    "name",
    [
        "LlamaForCausalLM",
        "Qwen3VLForConditionalGeneration",
        "GPT2LMHeadModel",
        "PanguEmbeddedForCausalLM",
        "Eagle2_5_VLForConditionalGeneration",
        "InternVLChatModel",
    ],
)
def test_check_kind_accepts_a_model_that_generates(name: str) -> None:
    check_kind({"architectures": [name]}, COMPLETE, "x")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BertModel", "an embedding model"),
        ("Qwen2Model", "an embedding model"),
        ("RobertaForMaskedLM", "an embedding model"),
        ("Qwen3ForSequenceClassification", "a classifier"),
        ("BertForTokenClassification", "a classifier"),
        ("InternLM2ForRewardModel", "a reward model"),
        ("Eagle3LlamaForCausalLM", "a draft model"),
        ("LlamaForCausalLMEagle3", "a draft model"),
        ("DeepSeekMTPModel", "a draft model"),
        ("PeagleQwen3ForCausalLM", "a draft model"),
    ],
)
def test_check_kind_refuses_a_model_that_does_not_generate(name: str, kind: str) -> None:
    with pytest.raises(Refused, match="x does not generate text") as refusal:
        check_kind({"architectures": [name]}, COMPLETE, "x")
    assert f"'{name}' is {kind}" in refusal.value.why


def test_check_kind_refuses_an_unknown_architecture() -> None:
    with pytest.raises(Refused, match="the architecture 'Mystery', which Slipway does not know"):
        check_kind({"architectures": ["Mystery"]}, COMPLETE, "x")


def test_check_kind_refuses_an_embedding_model_with_a_generating_architecture() -> None:
    with pytest.raises(Refused, match="does not generate text") as refusal:
        check_kind({"architectures": ["Qwen3ForCausalLM"]}, (*COMPLETE, "modules.json"), "x")
    assert "modules.json" in refusal.value.why


def test_check_kind_refuses_an_encoder_decoder_model() -> None:
    config = {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}
    with pytest.raises(Refused, match="does not answer chat requests"):
        check_kind(config, COMPLETE, "x")


def test_is_weights_excludes_adapters_and_training_files() -> None:
    names = ("model-00001-of-00002.safetensors", "pytorch_model.bin", "adapter_model.bin", "optimizer.pt")
    assert [is_weights(name) for name in names] == [True, True, False, False]


def test_every_row_has_a_source() -> None:
    assert all(row.source for row in architectures())
