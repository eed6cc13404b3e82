"""The tiny MiniMax-M2 of the demo and the tests: real architecture, tokenizer markers and files, trained weights.

The files are part of Slipway. `make tiny-model` makes them again (scripts/tiny_model), and their README.md tells how.
"""

from __future__ import annotations

import shutil
from pathlib import Path

MODEL = "slipway/MiniMax-M2-tiny"
FILES = Path(__file__).with_name("model")


def write_checkpoint(folder: Path) -> None:
    """Copy the files of the checkpoint to a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(FILES.iterdir()):
        shutil.copyfile(file, folder / file.name)
