"""Validate a command: the image against recipe and GPU, the layout against model, version and GPUs."""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning import vllm_versions
from launch.planning.image_checks import check_platform, check_release
from launch.planning.json_objects import options_of_user
from launch.planning.kv_cache import BLOCK
from launch.planning.parallelism import check, check_all, context_parallel_faults
from launch.planning.selection import Selection
from launch.recipes import strategy
from launch.spec.gpu_catalog import runs_code
from launch.spec.inputs import Host, Image
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import Draft

TP, PP, DP = "--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"
EP, DCP = "--enable-expert-parallel", "--decode-context-parallel-size"
BLOCK_SIZE = "--block-size"
MAX_RANKS = 100_000  # more than any cluster has; so a typo does not start a long enumeration
SHOWN = 8  # layouts in a refusal


def release(image: Image) -> str:
    """Return the image's vLLM version without pre-release and build parts."""
    return str(vllm_versions.parse(image.vllm_version))


def check_image(selection: Selection, image: Image, host: Host) -> None:
    """Raise Refused for an image that is for another platform, too old for the recipe, or compiled for other GPUs."""
    model = selection.recipe.model
    need = selection.variant.min_vllm_version or model.min_vllm_version
    check_platform(image, host.hardware.platform)
    check_release(image, need, model.nightly_required, selection.model_id, selection.recipe.file)
    built = image.capabilities.gpu_archs if image.capabilities else ()
    arch = host.hardware.arch
    if built and arch and not any(runs_code(arch, code) for code in built):
        what = f"{image.reference} has no kernels for {host.hardware.id} ({arch})"
        raise Refused(
            what,
            why=f"it was compiled for {' '.join(built)}",
            fix=f"use an --image for {arch}",
        )


def widest_valid(
    options: PlanOptions, selection: Selection, shape: ModelShape | None, image: Image
) -> tuple[Selection, str]:
    """Set the largest valid TP if the user leaves the layout open, with a note if that leaves GPUs idle."""
    chosen = options.strategy or any(flag in (TP, DP, PP, EP) for flag, _ in options.settings)
    if chosen or selection.strategy.name != "single_node_tp" or shape is None:
        return selection, ""
    gpus, version = selection.gpus, release(image)
    size, _ = strategy.tp_of_one_node(selection.recipe, selection.variant, selection.hardware, gpus)
    valid = (tp for tp in range(size, 0, -1) if check(shape, Layout(tp), gpus, version).valid)
    tp = next(valid, size)
    if tp == size:
        return selection, ""
    return replace(selection, tp=tp), f"TP{tp} leaves {gpus - tp} of {gpus} GPUs idle: no larger TP is valid"


def layout_of(draft: Draft, selection: Selection, shape: ModelShape | None) -> Layout:
    """Return the layout that a command sets. Raises Refused for a size that is not a positive integer."""
    tp, pp, dp = (_size(draft, flag) for flag in (TP, PP, DP))
    experts = shape.experts > 0 if shape else selection.recipe.model.architecture != "dense"
    spread = draft.get(EP) is not None and experts
    return Layout(tp, pp, dp, tp * dp if spread else 1, selection.nodes)


def _size(draft: Draft, flag: str) -> int:
    size = draft.number(flag)
    if not size or size > MAX_RANKS:
        arg = draft.get(flag)
        raise Refused(f"{flag} must be a positive integer (got '{arg.value if arg else ''}')")
    return size


def layout_faults(
    draft: Draft, layout: Layout, shape: ModelShape | None, selection: Selection, version: str
) -> tuple[str, ...]:
    """Return why these options cannot run together; empty if no reason is known."""
    reasons = check(shape, layout, gpu_limit(selection), version).reasons
    return (*reasons, *context_parallel_faults(layout.tp, draft.number(DCP) or 1))


def check_block(draft: Draft, host: Host) -> None:
    """Raise Refused for a KV block of the user that no backend for CUDA has (vllm/platforms/cuda.py)."""
    size, on_cuda = draft.number(BLOCK_SIZE, 0), host.hardware.platform == "cuda"
    if size and size % BLOCK and on_cuda and BLOCK_SIZE in options_of_user(draft):
        why = f"a block of each attention backend for CUDA is a multiple of {BLOCK} tokens"
        raise Refused(
            f"{BLOCK_SIZE} {size} is not a multiple of {BLOCK}", why=why, fix=f"--set {BLOCK_SIZE}=64"
        )


def gpu_limit(selection: Selection) -> int:
    """Return the GPUs of a node; 0 if ranks are not bound to devices (CPU)."""
    return 0 if selection.hardware.generation == "cpu" else selection.gpus


def check_layout(
    layout: Layout, draft: Draft, selection: Selection, shape: ModelShape | None, image: Image
) -> None:
    """Raise Refused for a layout that cannot run, with the arithmetic and the layouts that can."""
    reasons = layout_faults(draft, layout, shape, selection, release(image))
    if reasons:
        valid = valid_layouts(selection, shape, release(image))
        fix = f"use a valid layout: {', '.join(valid)}" if valid else "--gpus with another number"
        what = f"{layout.name} cannot run {selection.model_id}"
        raise Refused(what, why="; ".join(reasons), fix=fix)


def valid_layouts(selection: Selection, shape: ModelShape | None, version: str) -> list[str]:
    """Return names of valid layouts: the widest TP alone, then those on all GPUs, without pipelines first."""
    checks = check_all(shape, selection.gpus, selection.nodes, version)
    whole = sorted((c.layout for c in checks if c.valid), key=lambda layout: (layout.pp, -layout.ep))
    smaller = (Layout(tp) for tp in range(selection.gpus - 1, 0, -1))
    widest = (layout for layout in smaller if check(shape, layout, gpu_limit(selection), version).valid)
    names = (layout.name for layout in (*list(widest)[:1], *whole))
    return list(dict.fromkeys(names))[:SHOWN]
