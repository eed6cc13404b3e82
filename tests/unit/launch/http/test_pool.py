from __future__ import annotations

import pytest

from launch.http.pool import ConnectionPool
from launch.http.retry import RetryPolicy


def test_get_raises_at_once_if_this_process_has_too_many_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("launch.http.happy_eyeballs.connect", fail)
    with pytest.raises(OSError, match="Too many open files"):
        ConnectionPool(RetryPolicy()).get("http://hub", {})
