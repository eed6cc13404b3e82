"""Where results, kept cures and last words go: under the project, whatever folder a command is typed in."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "results"
LOGS = FOLDER / "logs"
