"""Find the recipe of a model; make one from its config.json if there is none.

The config.json is that of a local folder, of a snapshot in the Hugging Face cache, or of the Hub, in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from errors import Failed, Refused, SlipwayError
from launch.operations.locked_models import wanted_weights
from launch.recipes.from_config import recipe_from
from launch.recipes.repository import RecipeRepository, UnknownModel
from launch.recipes.schema import Recipe
from launch.spec.plan import Reason
from launch.weights.cache import MODEL, cache_folder

# Asking the Hub is one request or two; a plan does not wait as long as a download does.
ATTEMPTS = 2
SECONDS = 10.0


@dataclass(frozen=True)
class FoundRecipe:
    """A recipe, with the repository whose strategies and hardware it refers to. `source`: the recipe source, if any."""

    recipe: Recipe
    repository: RecipeRepository
    source: str = ""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return where the recipe comes from, if it is not one of Slipway's own."""
        if not self.source:
            return ()
        why = "no recipe of Slipway's own is for this model"
        return (Reason(f"recipe {self.recipe.name}", why, f"recipe source {self.source}"),)


def find_recipe(repository: RecipeRepository, model: str, revision: str = "", lock: str = "") -> FoundRecipe:
    """Return the recipe of a model: from the repository, else from a recipe source, else made from its config.json.

    Raises Refused or Failed.
    """
    if is_path(model):
        if revision:
            why = "a local folder has one version of the model"
            raise Refused(f"--revision cannot be used with the folder '{model}'", why=why, fix="leave it out")
        from launch.weights.checkpoint import from_folder

        return FoundRecipe(recipe_from(from_folder(model)), repository)
    try:
        return FoundRecipe(repository.recipe(model), repository)
    except UnknownModel as unknown:
        if found := _from_sources(model):
            return found
        if not MODEL.fullmatch(model) or ".." in model or "--" in model:
            raise
        made = _from_files(model, wanted_weights(model, revision, lock).revision, unknown)
        return FoundRecipe(made, repository)


def _from_sources(model: str) -> FoundRecipe | None:
    """Return the recipe of the first recipe source that has one for this model."""
    from launch.operations.recipe_sources import repositories

    for source, repository in repositories():
        try:
            return FoundRecipe(repository.recipe(model), repository, source.version)
        except UnknownModel:
            continue
    return None


def is_path(model: str) -> bool:
    """Return whether a model is given as a local folder: ./folder, ../folder, /folder or ~/folder."""
    return model in (".", "..", "~") or model.startswith(("./", "../", "/", "~/"))


def _from_files(model: str, revision: str, unknown: UnknownModel) -> Recipe:
    from launch.weights.checkpoint import from_cache

    checkpoint = from_cache(model, cache_folder(), revision)
    if checkpoint:
        return recipe_from(checkpoint)
    try:
        return _from_hub(model, revision)
    except Failed as error:
        raise _unreadable(error, model, unknown) from error


def _from_hub(model: str, revision: str) -> Recipe:
    from launch.http.retry import RetryPolicy
    from launch.weights.checkpoint import from_hub
    from launch.weights.fetch import is_offline
    from launch.weights.sources.hub import Hub, endpoint_of

    if is_offline():
        fix = f"unset HF_HUB_OFFLINE, or on a host with network: invoke fetch {model}"
        raise Failed(f"{model} is not in the cache", why="HF_HUB_OFFLINE forbids to ask the Hub", fix=fix)
    policy = RetryPolicy(attempts=ATTEMPTS, metadata_timeout=SECONDS, response_timeout=SECONDS)
    return recipe_from(from_hub(Hub(model, endpoint_of(), policy), policy, revision))


def _unreadable(error: SlipwayError, model: str, unknown: UnknownModel) -> Refused:
    """Return the refusal of an unknown model with the reason why its config.json cannot be read."""
    reasons = ": ".join(part for part in (error.what, error.why) if part)
    why = f"no recipe is for it, and its config.json cannot be read: {reasons}"
    fix = f"for the folder, write ./{model}" if Path(model).is_dir() else error.fix
    return Refused(unknown.what, why=why, fix=fix or unknown.fix)
