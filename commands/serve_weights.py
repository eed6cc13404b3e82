"""`invoke serve-weights`: serve models as a Hugging Face Hub."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, say
from commands.task import verb
from errors import Failed
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.hub_server.catalog import Catalog

SHOWN = 5  # lines about the files of one model


@verb()
def serve_weights(
    c: Context,
    folder: Annotated[
        str,
        Option(
            "folder that contains organization/name/... for each model, or a cache (default: the Hugging Face cache)",
            metavar="FOLDER",
            positional=True,
        ),
    ] = "",
    host: Annotated[str, Option("address to listen on", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[
        int, Option("port to listen on; 0 selects a free one", metavar="PORT", short="p", maximum=65535)
    ] = 8090,
    token_file: Annotated[
        str, Option("require clients to send the token stored in this file", metavar="PATH")
    ] = "",
) -> None:
    """Serve models as a Hugging Face Hub, for hosts without internet access.

    A cache is served with the commits and hashes of its source; the files of a folder are hashed first.
    """
    from launch import paths
    from launch.hub_server import serve_catalog
    from launch.hub_server.catalog import Catalog, require_models
    from launch.hub_server.file_hashes import FileHashes
    from launch.weights.cache import cache_folder
    from launch.weights.login import read_token

    served = require_models(Path(folder).expanduser() if folder else cache_folder())
    token = read_token(Path(token_file)) if token_file else ""
    catalog = Catalog(served, FileHashes(paths.cache_dir() / "served-hashes.json"))
    _read_models(catalog)
    try:
        with serve_catalog(catalog, host=host, port=port, token=token) as hub:
            say(f"serving {served}; stop with Ctrl-C")
            url = re.sub(r"//(0\.0\.0\.0|\[::\]):", f"//{socket.gethostname()}:", hub.url)
            print(f"export HF_ENDPOINT={url}", flush=True)
            hub.wait()
    except OSError as error:
        fix = f"invoke serve-weights {folder} --port 0"
        raise Failed(f"cannot listen on {host}:{port}", why=str(error), fix=fix) from error


def _read_models(catalog: Catalog) -> None:
    """Read every model before the first request, and name what is not served."""
    from launch.weights.progress import amount

    names = catalog.names()
    with bar(f"read {catalog.folder}") as progress:
        for index, name in enumerate(names):
            hashed = 0

            def show(count: int, index: int = index, name: str = name) -> None:
                nonlocal hashed
                hashed += count
                progress.update(index, len(names), f"{name}: {amount(hashed)} hashed")

            catalog.hashes.on_bytes = show
            for repository in catalog.read(name).repositories.values():
                _name_problems(name, repository.problems)
    catalog.hashes.on_bytes = lambda count: None


def _name_problems(model: str, problems: tuple[str, ...]) -> None:
    for line in problems[:SHOWN]:
        say(f"{model}: not served: {line!a}" if not line.isprintable() else f"{model}: {line}")
    if len(problems) > SHOWN:
        say(f"{model}: and {len(problems) - SHOWN} more files are not served")
