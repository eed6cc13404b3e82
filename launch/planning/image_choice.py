"""Choose the image of a plan from what the lock, the engine and a registry have.

Pure: `launch/operations/plan_image.py` looks everything up.
"""

from __future__ import annotations

from dataclasses import replace

from errors import Failed
from launch.planning.vllm_versions import image_for, table
from launch.spec.capabilities import Capabilities
from launch.spec.image_reference import ImageReference, is_image_id
from launch.spec.inputs import Image, LocalImage, LockEntry
from launch.spec.plan import ImageSource, Plan

UPSTREAM = "upstream"  # --image upstream: the image that the recipe names, else vLLM's own
ENTRYPOINT = ("vllm", "serve")  # of Slipway's images


def from_lock(
    entry: LockEntry,
    local: LocalImage | None = None,
    published: str = "",
    capabilities: Capabilities | None = None,
    wanted: str = "",
    problem: str = "",
) -> Image:
    """Return the image of the lock: the published one by digest, else the one built here by id, else its local name.

    `problem` says why a registry could not be asked. `wanted` is the vLLM version to assume if nothing tells it.
    """
    origin = "published" if published else "built" if local else "not built"
    known = capabilities or Capabilities()
    version = known.vllm_version or entry.vllm_version or wanted
    source = ImageSource(
        origin=origin,
        name=entry.name,
        digest=ImageReference.parse(published).digest if published else local.id if local else "",
        id=local.id if local else "",
        vllm_commit=known.vllm_commit or entry.vllm_commit,
        channel=entry.channel,
        base=(local.labels.get("slipway.base") if local else "") or entry.base,
        problem=problem,
        notes=() if origin != "not built" else (_not_built(entry), *([problem] if problem else [])),
    )
    reference = published or (local.id if local else entry.name)
    return Image(
        reference, version or table().newest, ENTRYPOINT, capabilities, not version, source, entry=entry
    )


def _not_built(entry: LockEntry) -> str:
    return f"the image {entry.name} is not built yet: `invoke build {entry.options}` builds it"


def named(
    platform: str,
    asked: str,
    version: str,
    local: LocalImage | None = None,
    digest: str = "",
    capabilities: Capabilities | None = None,
    problem: str = "",
) -> Image:
    """Return an image that the user or the recipe names: by digest, else by its id on this engine.

    Without both it keeps its tag, and `problem` says why; such a plan can be shown and not started.
    """
    image = image_for(platform, version, asked, capabilities)
    reference = _fixed(asked, local, digest)
    source = ImageSource(
        name=asked,
        digest=ImageReference.parse(reference).digest or (local.id if local else ""),
        id=local.id if local else "",
        vllm_commit=capabilities.vllm_commit if capabilities else "",
        problem=problem,
        notes=(f"the tag of {asked} is not resolved to a digest: {problem}",) if problem else (),
    )
    own = local.entrypoint == ENTRYPOINT if local else bool(image.entrypoint)
    return replace(image, reference=reference, source=source, entrypoint=ENTRYPOINT if own else ())


def _fixed(asked: str, local: LocalImage | None, digest: str) -> str:
    """Return the reference that always names the same image; the tag if neither engine nor registry tells one."""
    if is_image_id(asked):
        return local.id if local else asked
    name = ImageReference.parse(asked).name
    digest = digest or ImageReference.parse(asked).digest
    if not digest and local:
        digest = next(
            (d for d in map(ImageReference.parse, local.repo_digests) if d.name == name), _NONE
        ).digest
    return f"{name}@{digest}" if digest else local.id if local else asked


_NONE = ImageReference("", "")


def require_fixed(plan: Plan) -> None:
    """Raise Failed if the plan's image is a tag that was not resolved: the tag may name another image at the start."""
    source = plan.image_source
    if source.origin == "named" and source.problem:
        example = f"{ImageReference.parse(source.name).name}@sha256:DIGEST"
        fix = "docker images lists those of this engine" if is_image_id(source.name) else f"--image {example}"
        raise Failed(f"cannot resolve '{source.name}' to a digest", why=source.problem, fix=fix)
