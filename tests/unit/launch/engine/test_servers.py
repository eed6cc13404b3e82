"""Slipway's servers on an engine: which of them use a cached model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launch.engine.servers import users_of


@pytest.mark.parametrize(
    ("mounts", "status", "names"),
    [
        ([{"Destination": "/hub", "Source": "/home/me/hub"}], "running", ["m2"]),
        ([{"Destination": "/hub", "Source": "/other/hub"}], "running", []),
        ([{"Destination": "/hub", "Source": "/home/me/hub"}], "exited", []),
        ([], "running", ["m2"]),
    ],
)
def test_users_of_compares_the_cache(mounts: list[dict[str, str]], status: str, names: list[str]) -> None:
    server = SimpleNamespace(
        name="m2", status=status, labels={"slipway.model": "org/m2"}, attrs={"Mounts": mounts}
    )
    client = SimpleNamespace(containers=SimpleNamespace(list=lambda **options: [server]))
    assert users_of(cast(Any, client), "org/m2", Path("/home/me/hub")) == names
    assert users_of(cast(Any, client), "org/other", Path("/home/me/hub")) == []
