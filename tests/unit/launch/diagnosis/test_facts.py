"""Facts of a log: vLLM's options, platform and versions, as different versions of vLLM print them."""

from __future__ import annotations

import pytest

from launch.diagnosis.facts import Facts, add_derived, read_facts


def facts_of(*lines: str) -> Facts:
    facts: Facts = {}
    for line in lines:
        read_facts(line, facts)
    return add_derived(facts)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("non-default args: {'model': 'a/b', 'tensor_parallel_size': 4}", "tensor_parallel_size", "4"),
        ("non-default args: {'enforce_eager': True}", "enforce_eager", "True"),
        (
            "non-default args: {'speculative_config': {'method': 'mtp', 'num_speculative_tokens': 5}}",
            "speculative_config",
            "{'method': 'mtp', 'num_speculative_tokens': 5}",
        ),
        (
            "non-default args: {'kv_transfer_config': KVTransferConfig(kv_connector='X', kv_role='kv_both')}",
            "kv_transfer_config",
            "KVTransferConfig(kv_connector='X', kv_role='kv_both')",
        ),
        ("engine (v0.26.0) with config: model='m', quantization=fp8, seed=0", "quantization", "fp8"),
        ("args: Namespace(host=None, enforce_eager=True, tensor_parallel_size=2)", "enforce_eager", "True"),
        ("vLLM API server version 0.26.0", "vllm", "0.26.0"),
        ("  █▄█▀ █     █     █     █  version 0.26.0", "vllm", "0.26.0"),
        ("Initializing a V1 LLM engine (v0.11.2) with config: model='m'", "vllm", "0.11.2"),
        ("Automatically detected platform rocm.", "platform", "rocm"),
        ("Resolved architecture: MiniMaxM2ForCausalLM", "architecture", "MiniMaxM2ForCausalLM"),
        ("NVRM: Xid (PCI:0000:01:00): 31, pid=7", "xid", "31"),
        (
            "'cudagraph_mode': <CUDAGraphMode.FULL_AND_PIECEWISE: (2, 1)>",
            "cudagraph_mode",
            "FULL_AND_PIECEWISE",
        ),
        ("SpecDecoding metrics: Mean acceptance length: 3.1", "speculative_config", "SpecDecoding metrics"),
    ],
)
def test_read_facts_reads_a_line(line: str, name: str, value: str) -> None:
    assert facts_of(line)[name] == value


def test_read_facts_leaves_out_what_is_not_set() -> None:
    facts = facts_of("engine (v0.26.0) with config: speculative_config=None, kv_cache_dtype=auto, seed=0")
    assert not facts.keys() & {"speculative_config", "kv_cache_dtype"}


def test_read_facts_keeps_the_first_value() -> None:
    assert facts_of("Resolved architecture: Main", "Resolved architecture: Draft")["architecture"] == "Main"


def test_read_facts_believes_the_api_server_rather_than_a_banner() -> None:
    assert facts_of("vLLM Version 0.13.0+1a2b", "vLLM API server version 0.26.0")["vllm"] == "0.26.0"


def test_add_derived_counts_the_engines_of_other_nodes() -> None:
    line = "non-default args: {'data_parallel_size': 16, 'data_parallel_size_local': 8}"
    assert facts_of(line)["remote_engines"] == "8"
    assert "remote_engines" not in facts_of(line.replace("16", "8"))


def test_read_facts_forgets_that_the_server_sleeps_when_it_wakes_up() -> None:
    asleep, awake = "It took 3.1 seconds to fall asleep.", "It took 0.8 seconds to wake up tags {'weights'}."
    assert "asleep" in facts_of(asleep)
    assert "asleep" not in facts_of(asleep, awake)
