"""Adapt the keys of a recipe's JSON options to a vLLM version: replace and leave out those that it lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launch.planning.known_names import in_versions
from launch.planning.option_values import dotted_value, parsed_json
from launch.planning.vllm_versions import table
from launch.spec.vllm_args import Arg
from launch.spec.vocabulary import VllmOption, Vocabulary, versions_with_key

Changed = tuple[dict[str, Any], tuple[str, ...]]


def fix_keys(arg: Arg, option: VllmOption, words: Vocabulary) -> tuple[Arg | None, tuple[str, ...]]:
    """Return the option without keys that this version lacks, and why; None if no key is left.

    A key that no version has is kept: it is refused with the values.
    """
    dotted = arg.key.partition(".")[2]
    if dotted:
        data = nested(dotted.removesuffix("+").split("."), dotted_value(dotted, arg.value))
    else:
        data = parsed_json(arg.value)
    if not isinstance(data, dict):
        return arg, ()
    fixed, why = _fixed(option.config, data, words)
    if not why:
        return arg, ()
    if not fixed:
        return None, why
    return replace(arg, flag=option.name, values=(json.dumps(fixed),), joined=False), why


def nested(keys: list[str], value: Any) -> dict[str, Any]:
    """Return {"a": {"b": value}} for the keys a and b."""
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _fixed(config: str, data: Mapping[str, Any], words: Vocabulary) -> Changed:
    keys = words.config(config)
    if keys is None:
        return dict(data), ()
    fixed: dict[str, Any] = {}
    why: list[str] = []
    for name, value in data.items():
        known = keys.get(name)
        if known is None:
            pair, reason = _replaced(config, name, value, words)
            fixed |= pair
            why += [reason] if reason else []
        elif known.config and isinstance(value, dict):
            inner, reasons = _fixed(known.config, value, words)
            fixed |= {name: inner} if inner or not value else {}
            why += reasons
        else:
            fixed[name] = value
    return fixed, tuple(why)


def _replaced(config: str, name: str, value: Any, words: Vocabulary) -> tuple[dict[str, Any], str]:
    """Return what a key that this version lacks becomes, and why; the key itself if nothing is known of it."""
    row = table().keys.get(f"{config}.{name}")
    elsewhere = in_versions(versions_with_key(config, name))
    if not (row or elsewhere):
        return {name: value}, ""
    why = f"vLLM {words.version} does not know the key {name} of {config}"
    source = f" ({row.source})" if row else ""
    spelled = json.dumps(value).strip('"').lower()
    if row and row.use and (new := row.values.get(spelled, "" if row.values else spelled)):
        return {row.use: new}, f"{why}{source}: replaced by {row.use} {new}"
    note = f"; {row.note}" if row and row.note else "" if row else f" ({elsewhere})"
    return {}, f"{why}{source}: left out{note}"
