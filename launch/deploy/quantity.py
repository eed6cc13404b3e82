"""Amounts as Kubernetes writes them: 500m, 8, 16Gi. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_UNITS: dict[str, Decimal | int] = {
    "m": Decimal("0.001"),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
}
_UNITS |= {f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGTP", start=1)}


def amount(text: str) -> Decimal:
    """Return the number that a quantity means. Raises ValueError for another text."""
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if text.endswith(unit)), "")
    try:
        return Decimal(text.removesuffix(unit)) * _UNITS.get(unit, 1)
    except InvalidOperation as error:
        raise ValueError(f"'{text}' is not a quantity") from error


def readable(name: str, value: Decimal) -> str:
    """Return a number as text: bytes as GiB."""
    if any(word in name for word in ("memory", "storage")):
        return f"{value / 2**30:.4g} GiB"
    return f"{value.normalize():f}"


def pods_of(documents: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield the spec of each kind of pod of these objects, with the number of such pods."""
    for document in documents:
        spec = document.get("spec") or {}
        if document["kind"] == "Deployment":
            yield spec["template"]["spec"], spec.get("replicas", 1)
        elif document["kind"] == "LeaderWorkerSet":
            group, replicas = spec["leaderWorkerTemplate"], spec.get("replicas", 1)
            worker = group["workerTemplate"]["spec"]
            yield (group.get("leaderTemplate") or group["workerTemplate"])["spec"], replicas
            yield worker, replicas * (group.get("size", 1) - 1)


def job_pods(documents: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the spec of the pods of each Job."""
    jobs = (document["spec"] for document in documents if document["kind"] == "Job")
    yield from (spec["template"]["spec"] for spec in jobs)


def needs(documents: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """Return what all pods of these objects ask for, by the names that a quota uses."""
    total: dict[str, Decimal] = {}
    for pod, count in pods_of(documents):
        total["pods"] = total.get("pods", Decimal(0)) + count
        for container in pod["containers"]:
            for kind, amounts in (container.get("resources") or {}).items():
                for name, text in amounts.items():
                    key = f"{kind}.{name}"
                    total[key] = total.get(key, Decimal(0)) + count * amount(str(text))
    for name in ("cpu", "memory"):  # a quota may leave out `requests.`
        if f"requests.{name}" in total:
            total[name] = total[f"requests.{name}"]
    return total
