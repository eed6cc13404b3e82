"""`invoke verify`: check a model in the cache, or in a folder of `hf download --local-dir`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.fetch import cache_of
from commands.output import bar, emit, say, show
from commands.shared_options import Cache, Format, Lock, Model, Revision
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.weights.verify import Report


@verb()
def verify(
    c: Context,
    model: Model = "",
    revision: Revision = "",
    cache: Cache = "",
    lock: Lock = "",
    deep: Annotated[bool, Option("hash every byte instead of checking for changes")] = False,
    repair: Annotated[bool, Option("fetch missing and damaged files again")] = False,
    schedule: Annotated[
        bool, Option("print a systemd timer and a cron line that run this command every week, and do nothing")
    ] = False,
    format: Format = "text",
) -> None:
    """Check, offline, that a model in the cache is complete and was not changed.

    invoke verify MiniMaxAI/MiniMax-M2 --deep
    invoke verify ./folder --deep
    """
    from launch.operations.demo_model import endpoint_for
    from launch.operations.locked_models import wanted_weights
    from launch.weights.snapshot import verify_command
    from launch.weights.verify import verify_model

    if model.startswith((".", "/", "~")):
        if repair or schedule or revision or cache or lock:
            raise Refused(f"'{model}' is a folder, with which only --deep and --format can be used")
        _verify_folder(model, deep, format)
        return
    folder = cache_of("verify", model, cache)
    weights = wanted_weights(model, revision, lock)
    if schedule:
        show(_schedule(model, weights.revision, folder, deep, repair))
        return
    with endpoint_for(model if repair else "") as endpoint, bar(f"verify {model}") as progress:
        report = verify_model(
            model,
            revision=weights.revision,
            digest=weights.digest,
            cache=folder,
            deep=deep,
            repair=repair,
            endpoint=endpoint,
            on_progress=progress.transfer,
        )
    for line in report.repaired:
        say(f"repaired: {line}")
    _show_report(report, verify_command(model, weights.revision, folder), format)


def _verify_folder(given: str, deep: bool, format: str) -> None:
    """Check a folder of `hf download --local-dir`."""
    from launch.weights.verify import verify_folder

    path = Path(given).expanduser()
    if not path.is_dir():
        raise Refused(f"no such folder: '{given}'", fix="invoke verify ORGANIZATION/NAME")
    with bar(f"verify {given}") as progress:
        report = verify_folder(path, deep=deep, on_progress=progress.transfer)
    _show_report(report, shlex.join(["invoke", "verify", given]), format, is_folder=True)


def _show_report(report: Report, command: str, format: str, is_folder: bool = False) -> None:
    """Print the result. Raises Failed for files that are not the listed ones; `command` is the one that was run."""
    if format == "json":
        emit(report.as_dict())
    if not report.ok:
        raise _not_verified(report, command, is_folder)
    if format == "text":
        since = report.snapshot.verified
        checked = (
            "every byte"
            if report.deep
            else f"unchanged since {since}, when every byte was; --deep does it again"
        )
        show(f"{report.snapshot.files} files are verified ({checked})\n{report.snapshot.path}")


def _schedule(model: str, revision: str, cache: Path | None, deep: bool, repair: bool) -> str:
    """Return the timer for this command, with this host's program and cache."""
    from commands.program_name import command
    from launch.weights.cache import ModelFolder, cache_folder
    from launch.weights.schedule import schedule

    folder = ModelFolder((cache or cache_folder()).absolute(), model)
    folder.commit(revision)  # raises Refused for an invalid revision
    words = ("--revision", revision, "--cache", str(folder.cache), *["--deep"] * deep, *["--repair"] * repair)
    return schedule(model, (*command(), "verify", model, *words), Path.cwd())


def _not_verified(report: Report, command: str, is_folder: bool = False) -> Failed:
    """Return the error for a snapshot that is not known to be complete, with the next command."""
    from launch.weights.snapshot import lines_of

    found, faults = report.snapshot, report.faults
    name, why = f"{found.model} at {found.commit[:12]}", lines_of(faults)
    if faults and all(one.kind == "changed" for one in faults):
        return Failed(f"{name} was changed since it was verified", why=why, fix=f"{command} --deep")
    if not report.known:
        also = f"; {why}" if faults else ""
        why = f"it has no manifest, because another tool downloaded it{also}"
        repair = "--repair" if faults and not is_folder else "--deep"
        return Failed(f"{name} was never verified", why=why, fix=f"{command} {repair}")
    if not is_folder and all(one.kind == "unverified" for one in faults):
        fix = command.replace(
            "verify", "fetch", 1
        )  # its listing has the hashes; what is right is not transferred
        return Failed(f"{len(faults)} of {found.files} files cannot be verified offline", why=why, fix=fix)
    what = f"{len(faults)} of {found.files} files are missing or damaged"
    if is_folder:
        where = shlex.join(["--revision", found.commit, "--local-dir", str(found.path)])
        return Failed(what, why=why, fix=f"hf download ORGANIZATION/NAME {where}")
    return Failed(what, why=why, fix=f"{command}{' --deep' * report.deep} --repair")
