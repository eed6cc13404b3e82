"""Add, update and remove recipe sources, and look a model up in Slipway's own recipes first, then in the sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from errors import Refused, SlipwayError, choice
from launch.operations import recipe_changes
from launch.operations.recipe_changes import ChangedCommand
from launch.recipe_sources import folder, git, limits, store
from launch.recipe_sources.location import Location, check_name, check_revision, locate
from launch.recipe_sources.store import Source
from launch.recipes.repository import RecipeRepository, open_folder

RESERVED = ("slipway", "builtin")


@dataclass(frozen=True)
class Added:
    """A source that was added or updated: its recipes, and the errors of those that cannot be read."""

    source: Source
    recipes: int
    broken: tuple[Refused, ...] = ()


@dataclass(frozen=True)
class Updated:
    """A source before and after an update: the names of the recipes that differ, and the commands of models here."""

    old: Source
    new: Source
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    commands: tuple[ChangedCommand, ...] = ()


def add(name: str, given: str, revision: str = "", *, dry_run: bool = False) -> Added:
    """Add a source at its present commit. Raises Refused if the name is taken or the source cannot be trusted."""
    check_name(name)
    check_revision(revision)
    location = locate(name, given)
    if revision and not location.is_git:
        raise Refused(
            "--revision is for a Git repository", why=f"'{location.url}' is a folder", fix="leave it out"
        )
    with store.changing() as place:
        sources = store.read()
        if name in RESERVED or name in (source.name for source in sources):
            raise Refused(f"the recipe source '{name}' exists already", fix=f"invoke recipes update {name}")
        source, files = _fetch(Source(name, location.url, "", "", revision), location, place)
        found = _checked(source, files, place)
        store.write(sources if dry_run else (*sources, source))
    return found


def named(name: str = "") -> tuple[Source, ...]:
    """Return the source of this name, or all of them. Raises Refused for an unknown name."""
    sources = store.read()
    found = tuple(source for source in sources if name in ("", source.name))
    if name and not found:
        if not sources:
            raise Refused(
                f"unknown recipe source '{name}'", why="there are none", fix="invoke recipes add vllm"
            )
        raise choice("recipe source", name, [source.name for source in sources])
    return found


def update(old: Source, *, dry_run: bool = False) -> Updated:
    """Replace a source by its newest commit. Raises Refused if its history was rewritten; then it stays as it was."""
    with store.changing() as place:
        new, files = _fetch(old, locate(old.name, old.url), place)
        if new == old:
            return Updated(old, old)
        _checked(new, files, place)
        changes = compare(old, new)
        kept = old if dry_run else new
        store.write(tuple(kept if source.name == new.name else source for source in store.read()))
    return changes


def remove(source: Source) -> None:
    """Remove a source with its files."""
    with store.changing():
        store.write(tuple(other for other in store.read() if other.name != source.name))


def repositories() -> Iterator[tuple[Source, RecipeRepository]]:
    """Yield the recipes of each source, in order. Raises Refused if the files of a source are gone."""
    for source in store.read():
        if not source.folder.is_dir():
            what = f"the recipes of the source '{source.name}' are gone"
            raise Refused(
                what, why=f"'{source.folder}' is missing", fix=f"invoke recipes remove {source.name}"
            )
        yield source, open_folder(source.folder)


def compare(old: Source, new: Source) -> Updated:
    """Return which recipes differ between two commits that are both on this host."""
    before, after = _texts(old), _texts(new)
    added, removed = (
        tuple(sorted(more.keys() - less.keys())) for more, less in ((after, before), (before, after))
    )
    changed = tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name]))
    # A strategy or the hardware table can change the command of a recipe that is the same.
    names = (
        sorted(after.keys() | before.keys()) if _others(old) != _others(new) else (*changed, *added, *removed)
    )
    commands = recipe_changes.changed_commands(old.folder, new.folder, names, recipe_changes.models_here())
    return Updated(old, new, added, removed, changed, tuple(commands))


def _fetch(source: Source, location: Location, place: Path) -> tuple[Source, dict[str, bytes]]:
    """Return the source at its newest commit, with its files."""
    if not location.is_git:
        files = folder.read_files(Path(location.url))
        return replace(source, kind="folder", commit=folder.content_id(files)), files
    repository = place / "repository.git"
    commit = git.fetch(location, source.revision, repository)
    if source.commit not in ("", commit) and not git.follows(location, source.commit, commit, repository):
        what = f"the history of the recipe source '{source.name}' was rewritten"
        why = f"{commit[:12]} does not follow {source.commit[:12]}, which stays in use"
        raise Refused(what, why=why, fix=f"invoke recipes remove {source.name}, then add it again")
    return replace(source, kind="git", commit=commit), git.read_files(location, commit, repository)


def _checked(source: Source, files: dict[str, bytes], place: Path) -> Added:
    """Write the files and read every recipe. Raises Refused for a source without a recipe that can be read."""
    if not any(path.startswith("models/") for path in files):
        raise limits.refused("it has no recipe in `models/`, as vllm-project/recipes has")
    store.keep(source, files, place)
    try:
        repository = open_folder(source.folder)
        names = repository.names()
        readable, broken = repository.read(names)
    except SlipwayError as error:
        raise limits.refused(error.what) from error
    if not readable:
        raise limits.refused(f"none of its {len(names)} recipes can be read: {broken[0].what}")
    return Added(source, len(readable), tuple(broken))


def _texts(source: Source) -> dict[str, bytes]:
    root = source.folder / "models"
    return {
        str(path.relative_to(root).with_suffix("")): path.read_bytes()
        for path in sorted(root.rglob("*.y*ml"))
    }


def _others(source: Source) -> list[bytes]:
    """Return the strategies and the hardware table of a source."""
    paths = (*source.folder.glob("strategies/*"), *source.folder.glob("*.yaml"))
    return [path.read_bytes() for path in sorted(paths) if path.is_file()]
