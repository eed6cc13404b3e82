"""Find the recipe of a model; make one from its config.json if there is none.

The config.json is that of a local folder, of a snapshot in the Hugging Face cache, or of the Hub, in this order.
"""

from __future__ import annotations

from pathlib import Path

from errors import Failed, Refused, SlipwayError
from launch.operations.locked_models import wanted_weights
from launch.recipes.from_config import recipe_from
from launch.recipes.repository import RecipeRepository, UnknownModel
from launch.recipes.schema import Recipe
from launch.weights.cache import MODEL, cache_folder

# Asking the Hub is one request or two; a plan does not wait as long as a download does.
ATTEMPTS = 2
SECONDS = 10.0


def find_recipe(repository: RecipeRepository, model: str, revision: str = "", lock: str = "") -> Recipe:
    """Return the recipe of a model, or one made from its config.json at a revision. Raises Refused or Failed."""
    if is_path(model):
        if revision:
            why = "a local folder has one version of the model"
            raise Refused(f"--revision cannot be used with the folder '{model}'", why=why, fix="leave it out")
        from launch.weights.checkpoint import from_folder

        return recipe_from(from_folder(model))
    try:
        return repository.recipe(model)
    except UnknownModel as unknown:
        if not MODEL.fullmatch(model) or ".." in model or "--" in model:
            raise
        return _from_files(model, wanted_weights(model, revision, lock).revision, unknown)


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
    policy = RetryPolicy(
        attempts=ATTEMPTS, connect_timeout=SECONDS, read_timeout=SECONDS, response_timeout=SECONDS
    )
    return recipe_from(from_hub(Hub(model, endpoint_of(), policy), policy, revision))


def _unreadable(error: SlipwayError, model: str, unknown: UnknownModel) -> Refused:
    """Return the refusal of an unknown model with the reason why its config.json cannot be read."""
    reasons = ": ".join(part for part in (error.what, error.why) if part)
    why = f"no recipe is for it, and its config.json cannot be read: {reasons}"
    fix = f"for the folder, write ./{model}" if Path(model).is_dir() else error.fix
    return Refused(unknown.what, why=why, fix=fix or unknown.fix)
