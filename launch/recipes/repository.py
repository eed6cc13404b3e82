"""A shelf of recipes: ours, or a folder in the layout of vllm-project/recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Refused, choice
from launch.recipes import strategy
from launch.recipes.loader import load_yaml, read_recipe, read_strategy
from launch.recipes.schema import Recipe
from launch.recipes.strategy import Strategy
from launch.spec import gpu_catalog
from launch.spec.gpu_catalog import Hardware
from launch.spec.model_config import Shape

OURS = Path(__file__).parent / "builtin"


@dataclass(frozen=True)
class RecipeRepository:
    """Where recipes are, with the strategies and the hardware that they speak of."""

    folders: tuple[Path, ...]
    strategies: Mapping[str, Strategy]
    hardware: Mapping[str, Hardware]
    machines: tuple[str, ...] = ()  # those that the folder itself offers

    def own_names(self) -> tuple[str, ...]:
        """The recipes of the first folder: the given one, else ours."""
        folder = self.folders[0]
        return tuple(_name(folder, path) for path in _files(folder))

    def names(self) -> tuple[str, ...]:
        """All recipes, org/repo, each once."""
        return tuple(sorted({_name(folder, path) for folder in self.folders for path in _files(folder)}))

    def recipe(self, name: str) -> Recipe:
        """One recipe by its path or by a checkpoint that it serves. Raises Refused with the nearest names."""
        for folder in self.folders:
            path = folder / f"{name}.yaml"
            if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                return _read(folder, path)
        return self._by_checkpoint(name)

    def _by_checkpoint(self, name: str) -> Recipe:
        """A recipe whose file mentions the checkpoint and whose model or variant is it."""
        for folder in self.folders:
            for path in _files(folder):
                if name and name in path.read_text(errors="replace"):
                    recipe = _read(folder, path)
                    if name in checkpoints(recipe):
                        return recipe
        raise choice("model", name, self.names())

    def read(self, names: Iterable[str]) -> tuple[list[Recipe], list[Refused]]:
        """The recipes with these names, and why others of them could not be read."""
        found: list[Recipe] = []
        broken: list[Refused] = []
        for name in names:
            try:
                found.append(self.recipe(name))
            except Refused as error:
                broken.append(error)
        return found, broken


def checkpoints(recipe: Recipe) -> dict[str, str]:
    """Served checkpoint -> variant; the default variant first."""
    named = {v.model_id: name for name, v in reversed(recipe.variants.items()) if v.model_id}
    return {recipe.model.model_id: "default", **named}


def open_repository(folder: str = "") -> RecipeRepository:
    """Our own recipes, after those of a folder where one is given."""
    if not folder:
        return RecipeRepository((OURS,), strategy.known(), gpu_catalog.known(), tuple(gpu_catalog.known()))
    root = Path(folder).expanduser()
    models = root / "models"
    if not models.is_dir():
        raise Refused(
            f"{folder} holds no recipes",
            why="no folder `models` in it",
            fix="--recipes a clone of vllm-project/recipes",
        )
    profiles = _profiles(root)
    known = {**strategy.known(), **_strategies(root)}
    return RecipeRepository((models, OURS), known, {**gpu_catalog.known(), **profiles}, tuple(profiles))


def _strategies(root: Path) -> dict[str, Strategy]:
    found = (read_strategy(_text(path), path.name) for path in _files(root / "strategies"))
    return {item.name: item for item in found}


def _profiles(root: Path) -> dict[str, Hardware]:
    path = root / "taxonomy.yaml"
    data: Any = load_yaml(_text(path), path.name) if path.is_file() else {}
    rows = data.get("hardware_profiles") if isinstance(data, dict) else None
    pairs = rows.items() if isinstance(rows, dict) else ()
    return {
        str(name): gpu_catalog.from_profile(str(name), row) for name, row in pairs if isinstance(row, dict)
    }


def _read(folder: Path, path: Path) -> Recipe:
    return read_recipe(_text(path), str(path.relative_to(folder)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read", why=str(error)) from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder).with_suffix(""))


def known_shapes() -> dict[str, Shape]:
    """Shapes of the models of our own recipes, by model id; good for others' recipes of them too."""
    ours = RecipeRepository((OURS,), {}, {})
    pairs = ((recipe, recipe.ours.shape) for recipe in ours.read(ours.names())[0])
    return {
        model: shape
        for recipe, shape in pairs
        if shape is not None
        for model in (recipe.model.model_id, *recipe.ours.same_shape)
    }
