"""Fill a rule's texts and its plan change with the values that its pattern captured from the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from launch.diagnosis.rules import Rule

_PLACEHOLDER = re.compile(r"<(\w+)>")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[KMGT])i?B")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def captured_values(match: re.Match[str] | None) -> dict[str, str]:
    """Return the named groups of a match, and the values derived from them."""
    groups = match.groupdict() if match else {}
    values = {name: " ".join(text.split()) for name, text in groups.items() if text}
    return {**values, **_derived_values(values)}


def _derived_values(values: Mapping[str, str]) -> dict[str, str]:
    derived = {}
    if {"given", "choices"} <= values.keys():
        derived["nearest"] = _nearest(values["given"], re.findall(r"[\w.-]+", values["choices"]))
    if "kind" in values:
        derived["kind"] = values["kind"].lower()
        derived["parser"] = f"--{'reasoning' if derived['kind'] == 'reasoning' else 'tool-call'}-parser"
    if {"free", "total"} <= values.keys() and float(values["total"]) > 0:
        share = int(100 * float(values["free"]) / float(values["total"])) / 100
        derived |= {"utilization": f"{share:.2f}"} if share > 0 else {}
    if int(values.get("requests", "0")) > 1:
        derived["fewer"] = str(int(values["requests"]) // 2)
    if {"heads", "tp"} <= values.keys():
        heads, tp = int(values["heads"]), int(values["tp"])
        divisors = [size for size in range(1, min(heads, tp) + 1) if heads % size == 0]
        derived |= {"divisor": str(divisors[-1])} if divisors else {}
    return derived


def _nearest(given: str, choices: list[str]) -> str:
    near = get_close_matches(given, choices, n=3, cutoff=0.5)
    return "nearest: " + ", ".join(near) if near else f"the line above lists all {len(choices)} choices"


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `<name>` by its value, or by NAME if the log does not give one."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[1].upper()), text)


def fill_cause(cause: str, values: Mapping[str, str]) -> str:
    """Fill a cause, without the parts in brackets for which the log gives no value."""

    def keep(part: re.Match[str]) -> str:
        return part[1] if values.keys() >= set(_PLACEHOLDER.findall(part[1])) else ""

    return fill(_OPTIONAL.sub(keep, cause), values)


def fill_change(rule: Rule, values: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the plan change with its values, or None if the log does not give one of them."""
    names = _PLACEHOLDER.findall(str(rule.change))
    if rule.change is None or any(name not in values for name in names):
        return None
    return {key: _fill_nested(value, values) for key, value in rule.change.items()}


def options_not_given(rule: Rule, facts: Mapping[str, str]) -> str:
    """Return the options that the row's change removes, if the log shows that none of them was given."""
    removed = rule.change.get("unset", ()) if rule.change else ()
    given = facts.get("given_options", "").split()
    if not removed or not given or any(flag.strip("-").replace("-", "_") in given for flag in removed):
        return ""
    return " and ".join(removed)


def _fill_nested(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill_nested(inner, values) for key, inner in value.items()}
    return fill(value, values) if isinstance(value, str) else value


def size_of(text: str) -> float | None:
    """Return the bytes of a size such as `66.43 GiB`, or None if the text has another form."""
    match = _SIZE.fullmatch(text.strip())
    return float(match["number"]) * _UNITS[match["unit"]] if match else None
