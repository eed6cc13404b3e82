"""Choose the image of a plan from what the lock, the engine and a registry have; refuse what does not suit the plan.

Pure: `launch/operations/plan_image.py` looks everything up.
"""

from __future__ import annotations

from dataclasses import replace

from packaging.version import InvalidVersion, Version

from errors import Failed, Refused
from launch.planning.vllm_versions import image_for, parse, table
from launch.spec.capabilities import TORCH_BUILDS, Capabilities
from launch.spec.image_reference import ImageReference, is_digest, is_image_id
from launch.spec.inputs import Image, LocalImage, LockEntry
from launch.spec.plan import ImageSource, Plan

UPSTREAM = "upstream"  # --image upstream: the image that the recipe names, else vLLM's own
ENTRYPOINT = ("vllm", "serve")  # of Slipway's images
NIGHTLY = "nightly"  # what a recipe writes as min_vllm_version if no release is new enough


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


def check_reference(asked: str) -> None:
    """Raise Refused for an invalid digest."""
    digest = ImageReference.parse(asked).digest
    if "@" in asked and not is_digest(digest):
        why = "a digest is sha256: and 64 hexadecimal digits"
        name = ImageReference.parse(asked).name
        raise Refused(f"--image '{asked}' has no valid digest", why=why, fix=f"--image {name}@sha256:DIGEST")


def require_fixed(plan: Plan) -> None:
    """Raise Failed if the plan's image is a tag that was not resolved: the tag may name another image at the start."""
    source = plan.image_source
    if source.origin == "named" and source.problem:
        example = f"{ImageReference.parse(source.name).name}@sha256:DIGEST"
        fix = "docker images lists those of this engine" if is_image_id(source.name) else f"--image {example}"
        raise Failed(f"cannot resolve '{source.name}' to a digest", why=source.problem, fix=fix)


def check_wanted_version(wanted: str, entry: LockEntry) -> None:
    """Raise Refused if the user asks for another vLLM than the lock has."""
    if not (wanted and entry.vllm_version) or parse(wanted) == parse(entry.vllm_version):
        return
    same = [
        other for other in entry.others if other.vllm_version and parse(other.vllm_version) == parse(wanted)
    ]
    ways = [f"--channel {other.channel}" for other in same] or [_pin(entry, wanted)]
    raise Refused(
        f"--vllm {wanted}: the lock has vLLM {entry.vllm_version} for {entry.platform}",
        why=f"the image is built from the lock, channel {entry.channel}",
        fix=f"{' or '.join(ways)}, or --image {UPSTREAM} --vllm {wanted}",
    )


def check_release(image: Image, need: str, needs_nightly: bool, model: str, source: str) -> None:
    """Raise Refused for an image whose vLLM is too old for the recipe."""
    entry = image.entry
    if entry and not entry.is_nightly and (needs_nightly or need == NIGHTLY):
        raise Refused(
            f"{model} needs a nightly vLLM, and the lock has {image.vllm_version} (channel {entry.channel})",
            why=f"{source}: {'nightly_required' if needs_nightly else f'min_vllm_version is {need}'}",
            fix=_nightly(entry),
        )
    if need and not image.assumed and _is_older(image.vllm_version, need):
        raise Refused(
            f"vLLM {image.vllm_version} is too old for {model}",
            why=f"{source}: min_vllm_version is {need}",
            fix=_newer(entry, need) if entry else f"--vllm {need}, or newer",
        )


def _newer(entry: LockEntry, need: str) -> str:
    new = (o for o in entry.others if o.vllm_version and not _is_older(o.vllm_version, need))
    return " or ".join([*(f"--channel {other.channel}" for other in new), _pin(entry, need)])


def _pin(entry: LockEntry, version: str) -> str:
    """Return the command that updates the lock; the nightly channel has no releases."""
    if entry.is_nightly:
        return f"invoke pin --platform {entry.platform} --nightly"
    return f"invoke pin {entry.options} --version {version}"


def _nightly(entry: LockEntry) -> str:
    if any(other.is_nightly for other in entry.others):
        return f"--channel {NIGHTLY}"
    return f"invoke pin --platform {entry.platform} --nightly"


def _is_older(version: str, need: str) -> bool:
    try:
        return parse(version) < Version(need)
    except InvalidVersion:
        return False  # a word such as "nightly" has no order


def check_platform(image: Image, platform: str) -> None:
    """Raise Refused if the image was built for another platform, as far as its capabilities tell."""
    build = image.capabilities.torch_flavour if image.capabilities else ""
    if not build or build == TORCH_BUILDS.get(platform, build):
        return
    others = [name for name, torch in TORCH_BUILDS.items() if torch == build]
    raise Refused(
        f"'{image.source.name or image.reference}' is an image for {' or '.join(others) or build}, not for {platform}",
        why=f"its torch is the {build} build; {platform} needs {TORCH_BUILDS[platform]}",
        fix="use another --image, or none for the image of the lock",
    )


def not_of_lock(entry: LockEntry, where: str, differences: list[str]) -> Failed:
    """Return the error for an image that has the name of the lock's image and another content."""
    return Failed(
        f"'{where}' is not the image that the lock describes",
        why="; ".join(differences),
        fix=f"invoke build {entry.options}",
    )
