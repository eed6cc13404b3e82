"""`invoke models`: list the models in the Hugging Face cache, or remove one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import Cache, DryRun, Format
from commands.task import verb
from errors import Refused, SlipwayError
from launch.spec.option import Option


@verb()
def models(
    c: Context,
    remove: Annotated[str, Option("remove this model from the cache", metavar="MODEL")] = "",
    cache: Cache = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """List the models in the Hugging Face cache, with their sizes and what is verified."""
    from launch.weights.cached_models import cached_models, remove_model
    from launch.weights.progress import amount

    folder = Path(cache).expanduser() if cache else None
    if remove:
        _refuse_in_use(remove, folder)
        removed = remove_model(remove, folder, dry_run=dry_run)
        if format == "json":
            emit({"model": remove, "path": str(removed.path), "bytes": removed.bytes, "removed": not dry_run})
        else:
            print(f"{'would remove' if dry_run else 'removed'} {removed.path} ({amount(removed.bytes)})")
        return
    found = cached_models(folder)
    if format == "json":
        emit([snapshot.as_dict() for snapshot in found])
    elif found:
        rows = [(m.model, m.revision, m.commit[:12], amount(m.bytes), m.state) for m in found]
        show(table(("MODEL", "REVISION", "COMMIT", "SIZE", "VERIFIED"), rows))
    else:
        say("The cache holds no models. Download one with `invoke fetch MODEL`.")


def _refuse_in_use(model: str, cache: Path | None) -> None:
    """Raise Refused if a server on this host uses the model in this cache."""
    from launch.engine.client import connect
    from launch.engine.servers import users_of
    from launch.weights.cache import cache_folder

    try:
        names = users_of(connect(), model, cache or cache_folder())
    except SlipwayError:  # without an engine nothing runs
        return
    if names:
        raise Refused(f"'{model}' is in use by the server '{names[0]}'", fix=f"invoke stop {names[0]}")
