"""Find recipes: the built-in ones, and a folder in the layout of vllm-project/recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from errors import Refused, choice
from launch.checked_data.kept_file import kept
from launch.recipes.loader import load_yaml, read_recipe, read_strategy
from launch.recipes.schema import Recipe
from launch.recipes.strategy import Strategy, builtin_strategies
from launch.spec.gpu_catalog import HardwareProfile, catalog, from_taxonomy
from launch.spec.model_config import ModelShape

LONGEST = 200  # characters of a model's name
LARGEST = 200_000  # bytes of a recipe; the largest of 23 of vllm-project/recipes has 38,594
BUILTIN = Path(__file__).parent / "builtin"


@dataclass(frozen=True)
class RecipeRepository:
    """Folders of recipes, with the strategies and the hardware that the recipes refer to."""

    folders: tuple[Path, ...]
    strategies: Mapping[str, Strategy]
    hardware: Mapping[str, HardwareProfile]
    machines: tuple[str, ...] = ()  # hardware ids that the first folder offers

    def first_folder_names(self) -> tuple[str, ...]:
        """Return the names of the recipes in the first folder: the given one, else the built-in one."""
        folder = self.folders[0]
        return tuple(_name(folder, path) for path in _files(folder))

    def names(self) -> tuple[str, ...]:
        """Return the names of all recipes (org/repo), each once."""
        return tuple(sorted({_name(folder, path) for folder in self.folders for path in _files(folder)}))

    def recipe(self, name: str) -> Recipe:
        """Return a recipe by its name, by a checkpoint that it serves, or by the last part of its name.

        Raises Refused with similar names.
        """
        if len(name) > LONGEST or not name.isprintable():
            raise UnknownModel(f"unknown model {name[:LONGEST]!a}", fix="invoke recipes")
        for folder in self.folders:
            path = folder / f"{name}.yaml"
            if _is_inside(path, folder):
                return _read(folder, path)
        return self._by_checkpoint(name)

    def _by_checkpoint(self, name: str) -> Recipe:
        """Return the recipe whose model or variant is this checkpoint; only files that mention it are parsed."""
        for folder in self.folders:
            for path in _files(folder):
                if name and name in _text(path):
                    recipe = _read(folder, path)
                    if name in checkpoints(recipe):
                        return recipe
        same = [full for full in self.names() if name and full.rpartition("/")[2] == name]
        if len(same) == 1:
            return self.recipe(same[0])
        raise _unknown(name, self.names())

    def read(self, names: Iterable[str]) -> tuple[list[Recipe], list[Refused]]:
        """Return the recipes with these names, and the errors of those that cannot be read."""
        recipes: list[Recipe] = []
        broken: list[Refused] = []
        for name in names:
            try:
                recipes.append(self.recipe(name))
            except Refused as error:
                broken.append(error)
        return recipes, broken


class UnknownModel(Refused):
    """No recipe serves the model."""


def _unknown(name: str, names: tuple[str, ...]) -> UnknownModel:
    """Refuse a model that no recipe serves."""
    error = choice("model", name, names)
    fix = f"{error.fix or 'invoke recipes'}; for other models: org/name, or a folder as ./name"
    return UnknownModel(error.what, fix=fix)


def checkpoints(recipe: Recipe) -> dict[str, str]:
    """Map each served checkpoint to its variant; the default variant first."""
    variants = {v.model_id: name for name, v in reversed(recipe.variants.items()) if v.model_id}
    return {recipe.model.model_id: "default", **variants}


def open_repository(folder: str = "") -> RecipeRepository:
    """Return the built-in recipes; with a folder, its recipes before them."""
    if not folder:
        return RecipeRepository((BUILTIN,), builtin_strategies(), catalog(), tuple(catalog()))
    found = open_folder(Path(folder).expanduser())
    return replace(found, folders=(*found.folders, BUILTIN))


def open_folder(root: Path) -> RecipeRepository:
    """Return the recipes of a folder alone. Raises Refused for a folder without `models`."""
    models = root / "models"
    if not models.is_dir():
        raise Refused(
            f"'{root}' is not a folder of recipes",
            why="it has no subfolder `models`",
            fix="git clone https://github.com/vllm-project/recipes",
        )
    profiles = _profiles(root)
    strategies = {**builtin_strategies(), **_strategies(root)}
    return RecipeRepository((models,), strategies, {**catalog(), **profiles}, tuple(profiles))


def _strategies(root: Path) -> dict[str, Strategy]:
    strategies = (read_strategy(_text(path), path.name) for path in _files(root / "strategies"))
    return {strategy.name: strategy for strategy in strategies}


def _profiles(root: Path) -> dict[str, HardwareProfile]:
    path = root / "taxonomy.yaml"
    data: Any = load_yaml(_text(path), path.name) if path.is_file() else {}
    rows = data.get("hardware_profiles") if isinstance(data, dict) else None
    pairs = rows.items() if isinstance(rows, dict) else ()
    return {str(name): from_taxonomy(str(name), row) for name, row in pairs if isinstance(row, dict)}


def _read(folder: Path, path: Path) -> Recipe:
    """Return a recipe. Slipway's own are kept once they were checked; others may change at any time."""

    def read() -> Recipe:
        return read_recipe(_text(path), str(path.relative_to(folder)))

    return kept(path, "recipe", Recipe.__module__, read) if folder == BUILTIN else read()


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether a file exists and is in the folder. Raises Refused for a link that points to itself."""
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.exists()
    except (OSError, RuntimeError) as error:
        raise Refused(f"cannot read '{path}'", why=str(error)) from error


def _text(path: Path) -> str:
    """Return the content of a file. Raises Refused for a folder, a device, a pipe or a file that is too large."""
    try:
        if not path.is_file():
            raise Refused(f"cannot read '{path}'", why="it is not a regular file", fix=f"ls -l {path}")
        if (size := path.stat().st_size) > LARGEST:
            why = f"it has {size:,} bytes; a recipe may have {LARGEST:,}"
            raise Refused(f"'{path}' is too large for a recipe", why=why)
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read '{path}'", why=str(error)) from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder).with_suffix(""))


def shapes_for(recipe: Recipe) -> dict[str, ModelShape]:
    """Map the checkpoints of a recipe to their shapes, as far as a recipe has them: its own, else a built-in one."""
    own = _shapes_of(recipe)
    return own if own.keys() >= checkpoints(recipe).keys() else {**builtin_shapes(), **own}


def builtin_shapes() -> dict[str, ModelShape]:
    """Map model ids to the shapes in the built-in recipes; they also serve other recipes of these models."""
    repository = RecipeRepository((BUILTIN,), {}, {})
    recipes = repository.read(repository.names())[0]
    return {model: shape for recipe in recipes for model, shape in _shapes_of(recipe).items()}


def _shapes_of(recipe: Recipe) -> dict[str, ModelShape]:
    shape = recipe.extension.shape
    return dict.fromkeys((recipe.model.model_id, *recipe.extension.same_shape), shape) if shape else {}
