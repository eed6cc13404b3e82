"""Values that options of objects accept, and those that they refuse in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from errors import Refused
from launch.deploy.object_options import clients, node_label, object_name, storage_size


@pytest.mark.parametrize("text", ["300Gi", "1Ti", "500G"])
def test_sizes_of_claims(text: str) -> None:
    assert storage_size("--storage-size", text) == text


def test_namespaces_and_networks_may_use_the_api() -> None:
    given = ("ingress-nginx", "10.0.0.0/8", "fd00::/8", "all")
    assert clients("--allow-from", given) == given


@pytest.mark.parametrize(
    ("parse", "given"),
    [
        (storage_size, "300"),
        (storage_size, "-1Gi"),
        (storage_size, "0Gi"),
        (object_name, "Team_A"),
        (object_name, "a" * 254),
        (object_name, "../x"),
        (node_label, "rack one"),
        (node_label, "-rack"),
        (clients, ["10.0.0.0/99"]),
        (clients, ["10.0.0.1/8"]),
        (clients, ["Models"]),
    ],
)
def test_other_values_are_refused(parse: Callable[[str, Any], Any], given: Any) -> None:
    with pytest.raises(Refused, match="--option"):
        parse("--option", given)
