"""Make a recipe for a model that has none, from its config.json and the names and sizes of its files. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from launch.recipes import parsers
from launch.recipes.model_kind import check_kind
from launch.recipes.parsers import TOOLS, Parsers
from launch.recipes.schema import Extension, Feature, Model, Recipe, Variant
from launch.spec.checkpoint import Checkpoint

FILE = "config.json"
NO_RECIPE = "no recipe for"  # how a note of such a plan begins
MOUNTED = "/model"  # a local folder, in the container
DENSE = ("single_node_tp", "multi_node_tp", "multi_node_tp_pp", "multi_node_tp_dp")
EXPERTS = ("single_node_tep", "single_node_dep", "multi_node_tep", "multi_node_dep")


@dataclass(frozen=True, kw_only=True)
class ConfigRecipe(Recipe):
    """A recipe that was made from a config.json. No YAML file can set these fields."""

    folder: str = ""  # a local folder with the weights; "": the Hugging Face cache
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name that the model is served under."""
        return self.model.model_id


def recipe_from(checkpoint: Checkpoint) -> ConfigRecipe:
    """Return a recipe for the checkpoint. Raises Refused for a model that does not generate text."""
    check_kind(checkpoint.config, checkpoint.sizes, checkpoint.place)
    shape = checkpoint.shape
    chosen = parsers.choose(checkpoint.config["model_type"], _template(checkpoint))
    served = ("--served-model-name", checkpoint.model) if checkpoint.folder else ()
    return ConfigRecipe(
        file=FILE,
        model=Model(
            model_id=checkpoint.model,
            architecture="moe" if shape.experts else "dense",
            context_length=shape.context,
            base_args=served,
        ),
        features=_features(chosen, checkpoint.config["model_type"]),
        variants={"default": Variant(precision=shape.precision)},
        compatible_strategies=(*DENSE, *EXPERTS) if shape.experts else DENSE,
        default_strategy="single_node_tp",
        folder=checkpoint.folder,
        notes=tuple(_notes(checkpoint, chosen)),
        extension=Extension(source=checkpoint.place, shape=shape),
    )


def _template(checkpoint: Checkpoint) -> str:
    """Return the chat template. Mistral's own tokenizer formats chats with tools itself, without one."""
    return checkpoint.template or ("tools" if "tekken.json" in checkpoint.sizes else "")


def _features(chosen: Parsers, model_type: str) -> dict[str, Feature]:
    """Return the features that have a parser."""
    why = f"for model_type {model_type} ({chosen.source})"
    features: dict[str, Feature] = {}
    args: tuple[str, ...]
    if chosen.tool:
        args = ("--tool-call-parser", chosen.tool, "--enable-auto-tool-choice")
        features["tool_calling"] = Feature(description=f"tool calls {why}", args=args)
    if chosen.reasoning:
        args = ("--reasoning-parser", chosen.reasoning)
        features["reasoning"] = Feature(description=f"reasoning {why}", args=args)
    return features


def _notes(checkpoint: Checkpoint, chosen: Parsers) -> Iterator[str]:
    config, template = checkpoint.config, checkpoint.template
    yield f"{NO_RECIPE} {checkpoint.model}: planned from config.json of {checkpoint.place}"
    if not _template(checkpoint) and not chosen.tool:
        yield "the model has no chat template, so it answers /v1/completions only"
    if TOOLS.search(template) and not chosen.tool:
        wanted = "--set --tool-call-parser=NAME --set --enable-auto-tool-choice=true"
        yield f"no tool parser is known for model_type {config['model_type']}: {wanted} sets one"
    if isinstance(config.get("auto_map"), dict):
        yield (
            "the model asks for code of its own (auto_map), which is not run;"
            " if vLLM needs it: --set --trust-remote-code=true"
        )
    if not any(name.endswith(".safetensors") for name in checkpoint.sizes):
        yield "the weights are not in the safetensors format, so vLLM loads them with torch.load"


def with_parsers_of(recipe: Recipe, tool: frozenset[str], reasoning: frozenset[str]) -> Recipe:
    """Return the recipe without the features whose parser the image lacks; an empty set is not known."""
    if not isinstance(recipe, ConfigRecipe):
        return recipe
    known = {"tool_calling": tool, "reasoning": reasoning}
    lacking = {
        name: feature.args[1]
        for name, feature in recipe.features.items()
        if feature.args and known[name] and feature.args[1] not in known[name]
    }
    notes = tuple(
        f"the image has no parser '{parser}' for {name}: left out" for name, parser in lacking.items()
    )
    features = {name: feature for name, feature in recipe.features.items() if name not in lacking}
    return replace(recipe, features=features, notes=(*recipe.notes, *notes))
