"""One way to run a recipe: the variant, strategy, hardware and features that a plan settled on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from launch.recipes.schema import Recipe, StrategyOverride, Variant
from launch.recipes.strategy import Strategy
from launch.spec.gpu_catalog import Hardware


@dataclass(frozen=True)
class Choice:
    """One way to run a recipe. `features` are pairs of name and wanted mode ("" leaves it to the recipe)."""

    recipe: Recipe
    variant_name: str
    strategy: Strategy
    hardware: Hardware
    gpus: int
    nodes: int = 1
    features: tuple[tuple[str, str], ...] = ()
    tp: int = 0  # 0: by the recipe's rules

    @property
    def variant(self) -> Variant:
        """The chosen checkpoint."""
        return self.recipe.variants.get(self.variant_name, NO_VARIANT)

    @property
    def override(self) -> StrategyOverride:
        """What the recipe changes about the strategy."""
        return self.recipe.strategy_overrides.get(self.strategy.name, NO_OVERRIDE)

    @property
    def model_id(self) -> str:
        """The checkpoint that is served."""
        return self.variant.model_id or self.recipe.model.model_id


NO_VARIANT = Variant()
NO_OVERRIDE = StrategyOverride()


@dataclass(frozen=True)
class Layer:
    """Options that stand together in a recipe, and their key."""

    key: str
    why: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
