"""`invoke fetch`, `serve-weights`: a model's files, from a Hub to this host's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commands.terminal import bar, emit, say
from commands.verb import one_of, setting, verb
from errors import Refused


@verb(
    help={
        "model": "the model, as organisation/name",
        "revision": "branch, tag or commit",
        "include": "fetch only files that match this pattern; may be repeated",
        "exclude": "leave out files that match this pattern; may be repeated",
        "cache": "the Hugging Face cache to use (default: HF_HUB_CACHE)",
        "format": "text or json",
    },
    iterable=["include", "exclude"],
)
def fetch(
    c: Any,
    model: str = "",
    revision: str = "main",
    include: list[str] = [],  # noqa: B006 -- invoke's form of a repeatable flag
    exclude: list[str] = [],  # noqa: B006
    cache: str = "",
    format: str = "text",
) -> None:
    """Fetch a model's weights into the Hugging Face cache."""
    from launch import weights

    one_of("format", format, ("text", "json"))
    model = setting(c, "model", model)
    if not model:
        raise Refused("which model?", fix="invoke fetch --model organisation/name")
    with bar(f"fetch {model}") as progress:
        found = weights.fetch(
            model,
            revision=revision,
            include=tuple(include),
            exclude=tuple(exclude),
            cache=Path(cache) if cache else None,
            show=lambda meter: progress.update(meter.done, meter.total, meter.note),
        )
    if format == "json":
        emit(found.as_dict())
    else:
        print(f"{found.model} at {found.commit}: {found.files} files in {found.path}")


@verb(
    positional=["folder"],
    help={
        "folder": "a folder that holds organisation/name/... for each model",
        "host": "address to listen on",
        "port": "port to listen on; 0 takes a free one",
    },
)
def serve_weights(c: Any, folder: str, host: str = "127.0.0.1", port: int = 8090) -> None:
    """Serve a folder of models as a Hugging Face Hub, for hosts without the internet."""
    from launch.hub_server import serve_folder

    if not Path(folder).is_dir():
        raise Refused(f"no such folder: {folder}", fix="name one that holds organisation/name/...")
    with serve_folder(Path(folder), host=host, port=port) as hub:
        say(f"serving {folder}; Ctrl-C ends it")
        print(f"export HF_ENDPOINT={hub.url}", flush=True)
        hub.wait()
