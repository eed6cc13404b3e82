"""`invoke recipes`: list and render recipes, and manage the sources that more of them come from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import DryRun, Format
from commands.task import verb
from errors import Failed, Refused, SlipwayError
from launch.plural import count
from launch.spec.option import Option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launch.operations.recipe_sources import Added, Updated
    from launch.recipe_sources.store import Source
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe

ACTIONS = ("list", "add", "update", "remove")
SHOWN = 8  # names in a line


@verb()
def recipes(
    c: Context,
    action: Annotated[
        str,
        Option(
            "list the recipe sources, or add, update or remove one (default: list the recipes)",
            choices=ACTIONS,
            positional=True,
        ),
    ] = "",
    name: Annotated[
        str,
        Option("name of a source; vllm is known (default of update: all)", metavar="NAME", positional=True),
    ] = "",
    location: Annotated[
        str,
        Option("address of a Git repository, or a folder, to add", metavar="LOCATION", positional=True),
    ] = "",
    revision: Annotated[
        str,
        Option("branch, tag or commit to add (default: the repository's own branch)", metavar="REVISION"),
    ] = "",
    recipes: Annotated[
        str,
        Option(
            "folder in the layout of vllm-project/recipes (default: the built-in recipes)",
            metavar="PATH",
            setting=True,
        ),
    ] = "",
    render: Annotated[
        str, Option("write one JSON line for each model, hardware and strategy; - is stdout", metavar="PATH")
    ] = "",
    vllm: Annotated[
        str, Option("render for this vLLM version (default: those of the recipes)", metavar="VERSION")
    ] = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """List recipes, render the command for every recipe, hardware and strategy, or manage recipe sources.

    invoke recipes
    invoke recipes add vllm
    invoke recipes add team https://git.example/team/recipes
    invoke recipes update
    """
    _check_words(action, name, location, revision)
    if action:
        _manage(action, name, location, revision, dry_run, format)
    else:
        _recipes(recipes, render, vllm, format)


def _check_words(action: str, name: str, location: str, revision: str) -> None:
    """Raise Refused for a word that the action does not take, or that it lacks."""
    if action in ("add", "remove") and not name:
        raise Refused(f"recipes {action} needs the name of a source", fix=f"invoke recipes {action} vllm")
    if location and action != "add":
        raise Refused(f"recipes {action} takes no location", fix=f"invoke recipes add {name} {location}")
    if revision and action != "add":
        raise Refused("--revision can be used only with `recipes add`", fix="invoke recipes --help")


def _manage(action: str, name: str, location: str, revision: str, dry_run: bool, format: str) -> None:
    from launch.operations import recipe_sources

    if action == "add":
        _show_added(recipe_sources.add(name, location, revision, dry_run=dry_run), dry_run, format)
        return
    sources = recipe_sources.named(name)
    if action == "list":
        _show_sources(sources, format)
    elif action == "update":
        _update(sources, dry_run, format)
    else:
        if not dry_run:
            recipe_sources.remove(sources[0])
        done = f"{'would remove' if dry_run else 'removed'} {sources[0].version}"
        emit({**asdict(sources[0]), "removed": not dry_run}) if format == "json" else print(done)


def _update(sources: tuple[Source, ...], dry_run: bool, format: str) -> None:
    """Update each source, also if another one fails. Raises the first error."""
    from launch.operations import recipe_sources

    updates: list[Updated] = []
    errors: list[SlipwayError] = []
    for source in sources:
        try:
            updates.append(recipe_sources.update(source, dry_run=dry_run))
        except SlipwayError as error:
            errors.append(error)
    if format == "json":
        emit([_as_json(one) for one in updates])
    elif updates:
        show("\n".join(_lines(updates)))
    _raise_first(errors)


def _show_added(added: Added, dry_run: bool, format: str) -> None:
    if format == "json":
        emit(
            {
                **asdict(added.source),
                "recipes": added.recipes,
                "broken": [error.what for error in added.broken],
            }
        )
    else:
        print(
            f"{'would add' if dry_run else 'added'} {added.source.version}: {count(added.recipes, 'recipe')}"
        )
    if added.broken:
        say(f"{count(len(added.broken), 'recipe')} cannot be read, for example {added.broken[0].what}")


def _show_sources(sources: tuple[Source, ...], format: str) -> None:
    if format == "json":
        emit([asdict(source) for source in sources])
    elif sources:
        rows = [(one.name, one.url, one.revision, one.commit[:12]) for one in sources]
        show(table(("NAME", "LOCATION", "REVISION", "COMMIT"), rows))
    else:
        say("No recipe sources. `invoke recipes add vllm` adds the recipes of vllm-project.")


def _as_json(updated: Updated) -> dict[str, Any]:
    return {
        "name": updated.new.name,
        "old": updated.old.commit,
        "new": updated.new.commit,
        "added": list(updated.added),
        "removed": list(updated.removed),
        "changed": list(updated.changed),
        "commands": [asdict(command) for command in updated.commands],
    }


def _lines(updates: list[Updated]) -> Iterator[str]:
    """Yield the old and new commit of each source, the recipes that differ, and the commands of models here."""
    for updated in updates:
        old, new = updated.old.commit[:12], updated.new.commit[:12]
        yield f"{updated.new.name}: {old} -> {new}" if old != new else f"{updated.new.name}: {old}, unchanged"
        for kind, names in (
            ("added", updated.added),
            ("removed", updated.removed),
            ("changed", updated.changed),
        ):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                yield f"  {kind}: {', '.join(names[:SHOWN])}{more}"
        for command in updated.commands:
            yield f"  {command.model}, which this host has, on {', '.join(command.where)}:"
            yield from (f"    - {option}" for option in command.removed)
            yield from (f"    + {option}" for option in command.added)


def _recipes(folder: str, render: str, vllm: str, format: str) -> None:
    from launch.operations.recipe_sources import repositories
    from launch.recipes.repository import open_repository

    repository = open_repository(folder)
    if render:
        _render_all(repository, render, vllm)
        return
    found, broken = _read(repository, "")
    for source, more in repositories():
        rows, errors = _read(more, source.version)
        found += rows
        broken += errors
    if format == "json":
        emit(found)
    else:
        cells = [
            (row["model"], row["parameters"], ", ".join(row["strategies"]), row["source"]) for row in found
        ]
        show(table(("MODEL", "PARAMETERS", "STRATEGIES", "SOURCE"), cells))
    _raise_first(broken)


def _read(repository: RecipeRepository, source: str) -> tuple[list[dict[str, Any]], list[Refused]]:
    readable, broken = repository.read(repository.names())
    return [_about(recipe, source) for recipe in readable], broken


def _raise_first(errors: Sequence[SlipwayError]) -> None:
    """Report what cannot be read or updated, after all the others. Raises the first error."""
    for error in errors[1:]:
        say(str(error))
    if errors:
        raise errors[0]


def _about(recipe: Recipe, source: str) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "parameters": recipe.model.parameter_count or "-",
        "variants": list(recipe.variants) or ["default"],
        "strategies": list(recipe.compatible_strategies),
        "features": list(recipe.features),
        "source": source,
    }


def _render_all(repository: RecipeRepository, target: str, vllm: str) -> None:
    """Write the rows to a file, and the number of each kind to stderr."""
    import json
    from pathlib import Path

    from launch.planning.matrix import rows
    from launch.planning.vllm_versions import parse
    from launch.recipes.repository import builtin_shapes

    if vllm:
        parse(vllm)  # refuses what is not a version
    names = repository.first_folder_names()
    readable, broken = repository.read(names)
    shapes = builtin_shapes()
    found = [row for recipe in readable for row in rows(repository, recipe, shapes, vllm, frozenset(names))]
    text = "".join(json.dumps(row) + "\n" for row in found)
    if target == "-":
        print(text, end="")
    else:
        try:
            Path(target).write_text(text)
        except OSError as error:
            raise Failed(f"cannot write '{target}'", why=str(error)) from error
    refused, corrected = (sum(key in row for row in found) for key in ("refused", "corrected"))
    say(f"{len(found)} commands: {refused} refused, {corrected} corrected")
    _raise_first(broken)
