"""Refuse JSON values of a user that vLLM's parser accepts, and with which its server does not start.

The parser reads most of these options as any JSON. The server then wants an object, or keys that belong together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from errors import Refused
from launch.planning.json_objects import object_of, options_of_user
from launch.planning.near import hint
from launch.planning.option_values import NONE, shown
from launch.spec.vllm_args import Draft

Check = Callable[[Mapping[str, Any]], Iterator[str]]  # yields what is wrong with an object

MODALITIES = ("image", "video", "audio")
ROLES = "kv_both, kv_consumer or kv_producer"
# Connectors of vLLM 0.32 (vllm/distributed/kv_transfer/kv_connector/factory.py); plugins may register others.
CONNECTORS = (
    "DecodeBenchConnector",
    "ExampleConnector",
    "ExampleHiddenStatesConnector",
    "HiSparseConnector",
    "LMCacheConnectorV1",
    "LMCacheMPConnector",
    "MoRIIOConnector",
    "MooncakeConnector",
    "MultiConnector",
    "NixlConnector",
    "NixlPullConnector",
    "NixlPushConnector",
    "OffloadingConnector",
)
# Methods of speculation without a draft model of their own (vllm/config/speculative.py); so has every *mtp.
WITHOUT_MODEL = ("dspark", "extract_hidden_states", "mtp", "ngram", "ngram_gpu", "suffix")
LOOKUP = ("ngram", "ngram_gpu")
LISTS = ("--allowed-headers", "--allowed-methods", "--allowed-origins")


def check_json(draft: Draft) -> None:
    """Raise Refused for the first wrong object that the user sets."""
    for flag in options_of_user(draft):
        if flag in CHECKS:
            _check_object(draft, flag, CHECKS[flag])
        elif flag in LISTS:
            _check_list(draft, flag)


def check_repeated(flag: str, value: str) -> None:
    """Raise Refused for a JSON object in which one key has two values; vLLM would take the last without a word."""
    try:
        json.loads(value, object_pairs_hook=lambda pairs: _once(flag, pairs))
    except (ValueError, RecursionError):
        return  # not JSON: the check of all options names the place, if it should be


def _once(flag: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        old, new = json.dumps(found.setdefault(key, value)), json.dumps(value)
        if old != new:
            both = f"{shown(old)} and {shown(new)}"
            what = f"{flag}: the key '{shown(key)}' is given twice, with {both}"
            raise Refused(what, fix=f"write '{shown(key)}' once")
    return found


def _check_object(draft: Draft, flag: str, check: Check) -> None:
    arg, data = draft.get(flag), object_of(draft, flag)
    if arg and arg.value in NONE:
        return
    if data is None:
        got = shown(arg.value) if arg else ""
        raise Refused(f"{flag} must be a JSON object (got '{got}')", fix=f"--set {flag}={_EXAMPLE}")
    if fault := next(check(data), ""):
        raise Refused(f"{flag} {fault}", why="vLLM's server refuses it when it starts", fix=f"correct {flag}")


_EXAMPLE = """'{"KEY": VALUE}'"""


def _check_list(draft: Draft, flag: str) -> None:
    arg = draft.get(flag)
    try:
        values = json.loads(arg.value) if arg else []
    except (ValueError, RecursionError):
        return
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        got = shown(arg.value) if arg else ""
        raise Refused(f"{flag} must be a JSON list of texts (got '{got}')", fix=f"--set {flag}='[\"*\"]'")


def _any(data: Mapping[str, Any]) -> Iterator[str]:
    return iter(())


def _limits(data: Mapping[str, Any]) -> Iterator[str]:
    """Check how many images, videos and sounds a request may have (vllm/config/multimodal.py)."""
    for name, value in data.items():
        if name not in MODALITIES and (near := hint(name, MODALITIES)):
            yield f"has no key '{shown(name)}'{near}"
        count = value.get("count", 0) if isinstance(value, dict) else value
        if type(count) is not int or count < 0:
            yield f"key '{shown(name)}' must be a non-negative integer (got {shown(json.dumps(value))})"


def _objects(data: Mapping[str, Any]) -> Iterator[str]:
    for name, value in data.items():
        if not isinstance(value, dict):
            yield f"key '{shown(name)}' must be object (got {shown(json.dumps(value))})"


def _transfer(data: Mapping[str, Any]) -> Iterator[str]:
    connector = data.get("kv_connector")
    if not connector:
        yield "needs the key 'kv_connector', such as NixlConnector"
    elif not data.get("kv_role"):
        yield f"needs the key 'kv_role': {ROLES}"
    elif not data.get("kv_connector_module_path") and (near := _near(str(connector))):
        yield f"key 'kv_connector' has no choice '{shown(str(connector))}'{near}"


def _near(connector: str) -> str:
    """Return the connector that was meant, "" if vLLM has this one or a plugin may have it."""
    return "" if connector in CONNECTORS else hint(connector, CONNECTORS)


def speculation_faults(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what speculation lacks (vllm/config/speculative.py)."""
    method, model = data.get("method"), data.get("model")
    if not (method or model):
        yield "needs the key 'method' or 'model'"
        return
    name = str(method or model)
    if not (model or name in WITHOUT_MODEL or name.endswith("mtp")):
        yield f"needs the key 'model': the method {shown(name)} has a draft model"
    if name in LOOKUP and not data.get("num_speculative_tokens"):
        yield f"needs the key 'num_speculative_tokens' with the method {name}"
    least, most = data.get("prompt_lookup_min"), data.get("prompt_lookup_max")
    if name in LOOKUP and type(least) is int and type(most) is int and least > most:
        yield f"key 'prompt_lookup_min' ({least}) must be at most 'prompt_lookup_max' ({most})"


def _buckets(data: Mapping[str, Any]) -> Iterator[str]:
    for name, value in data.items():
        if not isinstance(value, list) or not all(type(bound) in (int, float) for bound in value):
            yield f"key '{shown(name)}' must be a list of numbers (got {shown(json.dumps(value))})"


def _texts(data: Mapping[str, Any]) -> Iterator[str]:
    for name, value in data.items():
        if not isinstance(value, str):
            yield f"key '{shown(name)}' must be string (got {shown(json.dumps(value))})"


def _compilation(data: Mapping[str, Any]) -> Iterator[str]:
    """Check the list of custom operations (vllm/config/compilation.py)."""
    for word in data.get("custom_ops") or ():
        if word not in ("all", "none") and not str(word).startswith(("+", "-")):
            yield f"key 'custom_ops' must be all, none, +NAME or -NAME (got {shown(json.dumps(word))})"


def _encoder_transfer(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("ec_connector") and not data.get("ec_role"):
        yield "needs the key 'ec_role'"


def _watermark(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("key") is None:
        yield "needs the key 'key'"


def _profiler(data: Mapping[str, Any]) -> Iterator[str]:
    """Check that a profiler has a folder, and that a folder has a profiler (vllm/config/profiler.py)."""
    for name in ("torch", "proton"):
        chosen, folder = data.get("profiler") == name, f"{name}_profiler_dir"
        if chosen and not data.get(folder):
            yield f"needs the key '{folder}'"
        if data.get(folder) and not chosen:
            yield f"key '{folder}' needs the key 'profiler' with {name}"


CHECKS: Mapping[str, Check] = {
    "--additional-config": _any,
    "--compilation-config": _compilation,
    "--custom-histogram-buckets": _buckets,
    "--default-chat-template-kwargs": _any,
    "--default-mm-loras": _any,
    "--ec-transfer-config": _encoder_transfer,
    "--kv-transfer-config": _transfer,
    "--limit-mm-per-prompt": _limits,
    "--media-io-kwargs": _objects,
    "--mm-processor-kwargs": _any,
    "--model-class-overrides": _texts,
    "--model-loader-extra-config": _any,
    "--override-generation-config": _any,
    "--profiler-config": _profiler,
    "--speculative-config": speculation_faults,
    "--watermark-config": _watermark,
}
