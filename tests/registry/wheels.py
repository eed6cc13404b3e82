"""Serve a wheel index like vLLM's on loopback, with real wheels of a few hundred bytes."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote


def wheel(folder: Path, name: str, version: str, needs: str = "", tag: str = "py3-none-any") -> Path:
    """Write a wheel that installs one empty module."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    need = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{need}"
        )
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def publish(root: Path, key: str, path: Path, version: str, variant: str = "") -> None:
    """List a wheel as vLLM's index does: metadata.json with a path relative to it."""
    place = root / key / variant / "vllm"
    place.mkdir(parents=True, exist_ok=True)
    row = {
        "package_name": "vllm",
        "filename": path.name,
        "version": version,
        "variant": variant or None,
        "platform_tag": "manylinux_2_35_x86_64",
        "path": "../" * len(place.relative_to(root).parts) + quote(str(path.relative_to(root))),
    }
    (place / "metadata.json").write_text(json.dumps([row]))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve a folder over HTTP; yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
