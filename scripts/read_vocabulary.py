"""Add the vocabulary of a vLLM version to launch/spec/vocabularies: options, keys of JSON options, variables, parsers.

python -m scripts.read_vocabulary IMAGE
python -m scripts.read_vocabulary slipway/vllm-cpu:0.32.0 --wheel vllm-0.33.0-cp38-abi3-manylinux_2_28_x86_64.whl
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from errors import SlipwayError
from images import vocabulary
from launch.engine.client import connect
from launch.spec.vocabulary import FOLDER


def main() -> None:
    """Read one vocabulary and write its file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "image", help="image of the container engine whose vLLM, or whose other packages, are used"
    )
    parser.add_argument("--wheel", type=Path, help="read the vLLM of this wheel instead of the image's")
    given = parser.parse_args()
    try:
        facts = vocabulary.read(connect(timeout=600), given.image, given.wheel)
    except SlipwayError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
    source = f"the Python files of {given.wheel.name}" if given.wheel else f"the image {given.image}"
    target = FOLDER / f"{facts['vllm_version'].split('+')[0]}.json"
    target.write_text(vocabulary.as_text(facts, source))
    print(f"{target}: {len(facts['options'])} options, {len(facts['env'])} variables")


if __name__ == "__main__":
    main()
