"""Whether a command can run: the image on recipe and GPU, the layout on model, version and GPUs."""

from __future__ import annotations

from dataclasses import replace

from packaging.version import InvalidVersion, Version

from errors import Refused
from launch.planning import parallelism as layouts
from launch.planning import vllm_versions
from launch.planning.choice import Choice
from launch.recipes import strategy
from launch.spec.inputs import Host, Image, PlanOptions
from launch.spec.model_config import Shape
from launch.spec.plan import Layout
from launch.spec.vllm_args import Draft

TP, PP, DP = "--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"
EP, DCP = "--enable-expert-parallel", "--decode-context-parallel-size"
MOST_RANKS = 100_000  # beyond any cluster; keeps a slip of the finger from being enumerated
SHOWN = 8  # layouts in a refusal


def release(image: Image) -> str:
    """The image's vLLM without pre-release and build parts."""
    return str(vllm_versions.parse(image.vllm_version))


def check_image(choice: Choice, image: Image, host: Host) -> None:
    """Raises Refused for an image that is too old for the recipe, or compiled for other hardware."""
    need = choice.variant.min_vllm_version or choice.recipe.model.min_vllm_version
    if need and not image.assumed and _older(image, need):
        what = f"vLLM {image.vllm_version} is too old for {choice.model_id}"
        raise Refused(what, why=f"{choice.recipe.file}: min_vllm_version", fix=f"--vllm {need} or newer")
    built = image.capabilities.gpu_archs if image.capabilities else ()
    arch = host.hardware.arch
    if built and arch and not any(_runs(one, arch) for one in built):
        what = f"{image.reference} has no kernels for {host.hardware.id} ({arch})"
        raise Refused(what, why=f"it was compiled for {' '.join(built)}", fix="another --image")


def _older(image: Image, need: str) -> bool:
    try:
        return Version(release(image)) < Version(need)
    except InvalidVersion:
        return False  # "nightly": nothing to compare with


def _runs(built: str, arch: str) -> bool:
    """CUDA code runs on the same and on later minor architectures; AMD's on its own."""
    return built == arch or (built.startswith("sm_") and built[:-1] == arch[:-1] and built <= arch)


def widest_legal(
    options: PlanOptions, choice: Choice, shape: Shape | None, image: Image
) -> tuple[Choice, str]:
    """Where the user left the layout to us: the largest legal TP, with a note where that leaves GPUs idle."""
    asked = options.strategy or any(flag in (TP, DP, PP, EP) for flag, _ in options.settings)
    if asked or choice.strategy.name != "single_node_tp" or shape is None:
        return choice, ""
    size, _ = strategy.tp_of_one_node(choice.recipe, choice.variant, choice.hardware, choice.gpus)
    legal = (
        tp for tp in range(size, 0, -1) if layouts.judge(shape, Layout(tp), choice.gpus, release(image)).legal
    )
    tp = next(legal, size)
    if tp == size:
        return choice, ""
    idle = f"TP{tp} leaves {choice.gpus - tp} of {choice.gpus} GPUs idle: no larger TP is legal"
    return replace(choice, tp=tp), idle


def layout_of(draft: Draft, choice: Choice, shape: Shape | None) -> Layout:
    """The layout that a command line means. Raises Refused for a size that is not a number above 0."""
    tp, pp, dp = (_size(draft, flag) for flag in (TP, PP, DP))
    experts = shape.experts > 0 if shape else choice.recipe.model.architecture != "dense"
    spread = draft.get(EP) is not None and experts
    return Layout(tp, pp, dp, tp * dp if spread else 1, choice.nodes)


def _size(draft: Draft, flag: str) -> int:
    size = draft.number(flag)
    if not size or size > MOST_RANKS:
        arg = draft.get(flag)
        raise Refused(f"{flag} {arg.value if arg else ''}: a whole number from 1 on is wanted")
    return size


def faults(
    draft: Draft, layout: Layout, shape: Shape | None, choice: Choice, version: str
) -> tuple[str, ...]:
    """Why these options cannot run together; empty where nothing is known against them."""
    verdict = layouts.judge(shape, layout, limit(choice), version)
    return (*verdict.reasons, *layouts.context_parallel(layout.tp, draft.number(DCP) or 1))


def limit(choice: Choice) -> int:
    """GPUs of a node; 0 where ranks are not bound to devices (CPU)."""
    return 0 if choice.hardware.generation == "cpu" else choice.gpus


def check_layout(layout: Layout, draft: Draft, choice: Choice, shape: Shape | None, image: Image) -> None:
    """Raises Refused with the arithmetic and the layouts that work."""
    reasons = faults(draft, layout, shape, choice, release(image))
    if reasons:
        good = working(choice, shape, release(image))
        fix = f"layouts that work: {', '.join(good)}" if good else "another --strategy or number of GPUs"
        raise Refused(f"{layouts.name(layout)} cannot run {choice.model_id}", why="; ".join(reasons), fix=fix)


def working(choice: Choice, shape: Shape | None, version: str) -> list[str]:
    """Names of legal layouts: the widest TP alone, then those that use all GPUs, without pipelines first."""
    there = layouts.verdicts(shape, choice.gpus, choice.nodes, version)
    whole = sorted((v.layout for v in there if v.legal), key=lambda found: (found.pp, -found.ep))
    smaller = (Layout(tp) for tp in range(choice.gpus - 1, 0, -1))
    widest = (found for found in smaller if layouts.judge(shape, found, limit(choice), version).legal)
    names = (layouts.name(found) for found in (*list(widest)[:1], *whole))
    return list(dict.fromkeys(names))[:SHOWN]
