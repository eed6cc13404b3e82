"""The program that fetches a model in a cluster, as one file that Python runs: Slipway's own modules and no other.

No image has Slipway in it, and the image with vLLM has all packages that these modules import. So the Job runs the code
of this host, in the image that the nodes need anyway.
"""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import util
from pathlib import Path

ENTRY = "launch.weights.fetch_listed"
OWN = ("launch", "errors")
FIRST_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format has: equal modules make equal bytes
MAIN = f"from {ENTRY} import main\n\nraise SystemExit(main())\n"


@cache
def program() -> bytes:
    """Return the file: a zip with the entry module and every module of Slipway that it may import."""
    content = io.BytesIO()
    texts = {"__main__.py": MAIN, **{_path(name): text for name, text in sorted(_modules().items())}}
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in texts.items():
            archive.writestr(zipfile.ZipInfo(path, FIRST_TIME), text, zipfile.ZIP_DEFLATED, 9)
    return content.getvalue()


def _modules() -> dict[str, str]:
    """Return the text of each module by its name, starting with the entry and following its imports."""
    found: dict[str, str] = {}
    waiting = [ENTRY]
    while waiting:
        name = waiting.pop()
        if name not in found and (file := _file(name)):
            found[name] = file.read_text(encoding="utf-8")
            waiting += [*_packages(name), *_imports(found[name])]
    return found


def _file(name: str) -> Path | None:
    """Return the file of a module; None for anything else, for example a class."""
    try:
        found = util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(found.origin) if found and found.origin else None


def _packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:depth]) for depth in range(1, len(parts)))


def _imports(text: str) -> Iterator[str]:
    """Yield the modules of Slipway that a module imports, also within its functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OWN:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in OWN)


def _path(name: str) -> str:
    """Return the path of a module within the file."""
    folder = name.replace(".", "/")
    file = _file(name)
    return f"{folder}/__init__.py" if file and file.name == "__init__.py" else f"{folder}.py"
