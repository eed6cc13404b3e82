"""Resolve the Python packages of a platform into a hashed requirements file, for Linux and CPython only.

uv resolves for every system there is; what a container can never install is dropped again. Wheels that only
the builder's own index knows (torch +cpu) get their hashes from lock.yaml.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.markers import Marker

from errors import Failed

_TARGETS = [
    {
        "python_version": p,
        "python_full_version": f"{p}.9",
        "platform_machine": m,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for p in ("3.11", "3.12", "3.13")
    for m in ("x86_64", "aarch64")
]


def resolve(
    requirement: str, leave_out: Iterable[str], wheels: Mapping[str, str], find_links: Iterable[str]
) -> str:
    """The requirements file's text; `wheels` maps file names to sha256. Raises Failed with uv's words."""
    with tempfile.TemporaryDirectory() as folder:
        asked, dropped = Path(folder, "in.txt"), Path(folder, "overrides.txt")
        asked.write_text(requirement + "\n")
        dropped.write_text("".join(f"{name} ; python_version < '3'\n" for name in leave_out))
        links = [word for link in find_links for word in ("--find-links", link)]
        argv = [
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "compile",
            str(asked),
            "--override",
            str(dropped),
            "--universal",
            "--python-version",
            "3.11",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            *links,
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"cannot resolve {requirement}", why=done.stderr.strip()[-800:])
    return "".join(entries(done.stdout, wheels))


def entries(text: str, wheels: Mapping[str, str]) -> Iterable[str]:
    """The entries of `text` that some target installs, without markers that are true for every target."""
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head, *hashes = entry.split(" \\\n    --hash=")
        name, _, marker = head.partition(" ; ")
        truths = [Marker(marker).evaluate(target) for target in _TARGETS] if marker else [True]
        if any(truths):
            known = sorted({*hashes, *_hashes(name, wheels)})
            yield " \\\n    --hash=".join([name if all(truths) else head, *known]) + "\n"


def _hashes(pinned: str, wheels: Mapping[str, str]) -> list[str]:
    prefix = pinned.replace("==", "-") + "-"
    return [f"sha256:{digest}" for name, digest in wheels.items() if name.startswith(prefix)]
