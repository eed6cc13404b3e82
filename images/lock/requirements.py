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
        words = [word for link in find_links for word in ("--find-links", link)]
        words += ["--override", str(dropped)] if dropped.stat().st_size else []
        try:
            done = subprocess.run([*_uv(), str(asked), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failed("uv is not installed", fix=f"{sys.executable} -m pip install uv") from None
    if done.returncode:
        raise Failed(f"cannot resolve {requirement}", why=_said(done.stderr))
    return "".join(entries(done.stdout, wheels))


def _uv() -> list[str]:
    uv = str(Path(sys.executable).with_name("uv"))
    told = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
    return [uv, "pip", "compile", *told]


def _said(text: str) -> str:
    """uv's words from its error on, in one line; its warnings say nothing of it."""
    words = " ".join(text[max(text.find("error:"), 0) :].split())
    return words.removeprefix("error: ")[:800]


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
