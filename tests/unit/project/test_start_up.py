"""Every command defines all verbs first: what only one verb needs must not be imported by that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
HEAVY = ("pydantic", "docker", "huggingface_hub", "kubernetes", "matplotlib", "rich", "launch.bench.run")


def test_the_verbs_are_defined_without_the_libraries_of_one_verb() -> None:
    code = f"import sys, tasks; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
