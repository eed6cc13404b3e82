"""The JSON object that a command sets for one option: as one value, or key by key with dotted options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launch.planning.option_values import BROKEN, dotted_value, parsed_json
from launch.planning.vllm_versions import USER
from launch.spec.vllm_args import Arg, Draft


def object_of(draft: Draft, flag: str) -> dict[str, Any] | None:
    """Return the object of an option, None if the command does not set it or its value is not an object."""
    found = [arg for arg in draft.args if arg.key.startswith(flag)]
    whole = next((arg for arg in reversed(found) if arg.key == flag), None)
    dotted = [arg for arg in found if arg.key.startswith(f"{flag}.")]
    data = parsed_json(whole.value) if whole else {} if dotted else BROKEN
    if not isinstance(data, dict):
        return None
    for arg in dotted:
        data = _joined(data, _as_object(arg))
    return data


def options_of_user(draft: Draft) -> frozenset[str]:
    """Return the options that the user sets, or a key of them."""
    return frozenset(arg.key.partition(".")[0] for arg in draft.args if arg.source == USER)


def _as_object(arg: Arg) -> dict[str, Any]:
    key = arg.key.partition(".")[2]
    value = dotted_value(key, arg.value)
    for step in reversed(key.removesuffix("+").split(".")):
        value = {step: value}
    return dict(value)


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return one object with the keys of both; an object under the same key is joined, too."""
    joined = dict(old)
    for key, value in new.items():
        before = joined.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        joined[key] = _joined(before, value) if both and isinstance(before, dict) else value
    return joined
