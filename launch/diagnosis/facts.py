"""What a log tells about the server's configuration: its options, platform, versions, and Xid numbers.

A fact has the name of vLLM's option (`speculative_config`) and the text that the log prints for it.
"""

from __future__ import annotations

import re

Facts = dict[str, str]

MAX_FACTS = 200  # more than vLLM has options
_MAX_VALUE = 400

_FACT_LINE = re.compile(
    r"non-default args|with config: |args: Namespace\(|API server version|[Aa]utomatically detected platform|"
    r"attention backend|MoE backend|Resolved architecture|\bversion \d|NVRM: Xid|vLLM Version|Torch version|"
    r"PyTorch version|Turning off hybrid|cudagraph_mode|Custom allreduce is disabled|SpecDecoding|Loading drafter|"
    r"to fall asleep|to wake up|Estimated CUDA graph memory"
)
# {'tensor_parallel_size': 2, 'speculative_config': {'method': 'mtp'}}
_DICT_ITEM = re.compile(
    r"'(?P<name>\w+)': (?P<value>'[^']*'|\{[^{}]*\}|\[[^\[\]]*\]|\w+\([^()]*\)|[^\s,{}\[\]]+)"
)
# model='m', speculative_config=SpeculativeConfig(method='mtp'), seed=0
_CALL_ITEM = re.compile(r"\b(?P<name>\w+)=(?P<value>'[^']*'|\w+\([^()]*\)|\{[^{}]*\}|[^\s,()]+)")
_SINGLE = (
    re.compile(r"[Aa]utomatically detected platform (?P<platform>\w+)"),
    re.compile(
        r"(?:API server|vLLM|LLM engine|█) ?(?:version|Version|\() ?\(?v?(?P<vllm>\d+\.\d+(?:\.\d+)?\w*)"
    ),
    re.compile(r"version (?P<vllm>\d+\.\d+(?:\.\d+)?\w*)\s*$"),
    re.compile(r"engine \(v(?P<vllm>\d+\.\d+(?:\.\d+)?\w*)"),
    re.compile(r"Resolved architecture: (?P<architecture>\w+)"),
    re.compile(r"Using (?:AttentionBackendEnum\.)?(?P<attention_backend>\w+)(?: \w+)? attention backend"),
    re.compile(r"Using ['\"]?(?P<moe_backend>[\w-]+)['\"]? .{0,20}MoE backend"),
    re.compile(r"NVRM: Xid \([^)]*\): (?P<xid>\d+)"),
    re.compile(r"(?:Torch|PyTorch) version:? (?P<torch>\d+\.\d+\S*)"),
    re.compile(r"(?P<hybrid_cache_off>Turning off hybrid kv cache manager)"),
    re.compile(r"cudagraph_mode\W{1,4}(?:CUDAGraphMode\.)?(?P<cudagraph_mode>[A-Z_]+)"),
    re.compile(r"(?P<custom_all_reduce_off>Custom allreduce is disabled)"),
    re.compile(r"Estimated CUDA graph memory: (?P<graph_memory>[\d.]+) GiB"),
    re.compile(r"(?P<asleep>to fall asleep)"),
    re.compile(r"(?P<speculative_config>SpecDecoding metrics|Loading drafter model|num_spec_tokens=\d+)"),
)


def read_facts(text: str, facts: Facts) -> None:
    """Add the facts of a line; the first value of a name counts."""
    if len(facts) >= MAX_FACTS or not _FACT_LINE.search(text):
        return
    if "API server version" in text:
        facts.pop("vllm", None)  # a banner of the image may have named another one
    if "to wake up" in text:
        facts.pop("asleep", None)
    for pattern in _SINGLE:
        if match := pattern.search(text):
            facts.update({name: value for name, value in match.groupdict().items() if name not in facts})
    if "non-default args" in text:
        names = (item["name"] for item in _DICT_ITEM.finditer(text))
        facts.setdefault("given_options", " ".join(names)[:_MAX_VALUE])
        _read_items(_DICT_ITEM, text, facts)
    elif "with config: " in text or "args: Namespace(" in text:
        _read_items(_CALL_ITEM, text, facts)


def _read_items(pattern: re.Pattern[str], text: str, facts: Facts) -> None:
    for item in pattern.finditer(text):
        value = item["value"].strip("'")
        if value not in ("None", "", "auto") and len(facts) < MAX_FACTS:
            facts.setdefault(item["name"], value[:_MAX_VALUE])


def add_derived(facts: Facts) -> Facts:
    """Return the facts with those that follow from several of them."""
    total, local = facts.get("data_parallel_size", ""), facts.get("data_parallel_size_local", "")
    derived: Facts = {}
    if "given_options" in facts and "tensor_parallel_size" not in facts:
        derived["tensor_parallel_size"] = "1"  # vLLM's default, which its log leaves out
    if total.isdigit() and local.isdigit() and int(total) > int(local):
        derived["remote_engines"] = str(int(total) - int(local))
    return {**facts, **derived}
