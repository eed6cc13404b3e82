"""Resolve a platform's Python packages into a requirements file with hashes, for CPython on Linux only.

uv resolves for all systems; entries that a Linux container cannot install are dropped. The hashes of wheels that
the package index does not have (torch's +cpu builds) come from lock.yaml.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.markers import Marker

from errors import Failed
from images.lock import wheel_index
from images.lock.schema import Python

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


def pin(python: Python, requirement: str, find_links: Sequence[str], exclude: str = "") -> tuple[Python, str]:
    """Resolve a requirement; return the entry for lock.yaml and the text of the requirements file.

    `exclude` names a package that is installed from its URL instead.
    """
    # Wheels of this host may be of another flavour, so only a platform with a list of wheels uses them.
    links = find_links if python.wheels else ()
    text = resolve(requirement, python.leave_out, python.wheels, links)
    if python.index:
        wheels = torch_wheels(python, text)
        text = resolve(requirement, python.leave_out, wheels, links)
        python = replace(python, wheels=wheels)
    text = _without(text, exclude) if exclude else text
    return replace(python, sha256=hashlib.sha256(text.encode()).hexdigest()), text


def resolve(
    requirement: str, leave_out: Iterable[str], wheels: Mapping[str, str], find_links: Iterable[str]
) -> str:
    """Return the text of the requirements file; `wheels` maps file names to sha256.

    Raises Failed with uv's error message.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, overrides = Path(folder, "in.txt"), Path(folder, "overrides.txt")
        source.write_text(requirement + "\n")
        overrides.write_text("".join(f"{name} ; python_version < '3'\n" for name in leave_out))
        options = [option for link in find_links for option in ("--find-links", link)]
        options += ["--override", str(overrides)] if overrides.stat().st_size else []
        done = _uv(str(source), *options)
    if done.returncode:
        raise Failed(f"cannot resolve {requirement}", why=error(done.stderr))
    return "".join(entries(done.stdout, wheels))


def compile_hashes(pinned: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Ask the index for the hashes of `name==version` requirements, without their dependencies and uv's cache."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.txt")
        source.write_text("".join(f"{line}\n" for line in pinned))
        return _uv(str(source), "--no-deps", "--refresh")


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    uv = str(Path(sys.executable).with_name("uv"))
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
    argv = [uv, "pip", "compile", *options, *arguments]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failed("uv is not installed", fix=f"{sys.executable} -m pip install uv") from None


def error(stderr: str) -> str:
    """Return uv's error in one line, without the warnings before it."""
    message = " ".join(stderr[max(stderr.find("error:"), 0) :].split())
    return message.removeprefix("error: ")[:800]


def entries(text: str, wheels: Mapping[str, str]) -> Iterator[str]:
    """Yield the entries that at least one target installs, without markers that hold for every target."""
    for entry in split(text):
        head, *hashes = entry.split(" \\\n    --hash=")
        name, _, marker = head.partition(" ; ")
        applies = [Marker(marker).evaluate(target) for target in _TARGETS] if marker else [True]
        if any(applies):
            all_hashes = sorted({*hashes, *_hashes(name, wheels)})
            yield " \\\n    --hash=".join([name if all(applies) else head, *all_hashes]) + "\n"


def split(text: str) -> list[str]:
    """Return the entries of a requirements file."""
    return re.split(r"\n(?=\S)", text.strip())


def _without(text: str, package: str) -> str:
    return "".join(f"{entry}\n" for entry in split(text) if not re.match(rf"{package}( @|==)", entry))


def _hashes(pinned: str, wheels: Mapping[str, str]) -> list[str]:
    prefix = pinned.replace("==", "-") + "-"
    return [f"sha256:{digest}" for name, digest in wheels.items() if name.startswith(prefix)]


def torch_wheels(python: Python, text: str) -> dict[str, str]:
    """Return the hashes of torch's +cpu builds, which only its own index has; the same version keeps its own."""
    torch = re.search(r"^torch==([^\s;\\]+)", text, re.MULTILINE)
    version = torch.group(1) if torch else ""
    if any(name.startswith((f"torch-{version}-", f"torch-{version}+")) for name in python.wheels):
        return dict(python.wheels)
    release = re.escape(version.split("+")[0])
    name = re.compile(rf"torch-{release}\+cpu-cp31[123]-cp31\d-manylinux\S+x86_64\.whl")
    found = wheel_index.hashes(python.index, "torch", name)
    if not found:
        raise Failed(f"{python.index} has no +cpu build of torch {version}", fix="pin another vLLM version")
    return found
