from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed
from launch.weights.transfer.scheduler import explain


@pytest.mark.parametrize(("number", "fix"), [(24, "ulimit -n"), (27, "ulimit -f")])
def test_explain_does_not_blame_the_disk_for_a_process_limit(number: int, fix: str, tmp_path: Path) -> None:
    error = explain(OSError(number, "too much"), tmp_path)
    assert isinstance(error, Failed)
    assert fix in error.fix
    assert "disk" not in str(error)
