"""Refuse images and vLLM versions that do not suit a plan, with the command that helps."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from errors import Failed, Refused
from launch.planning.image_choice import UPSTREAM
from launch.planning.vllm_versions import parse
from launch.spec.capabilities import TORCH_BUILDS
from launch.spec.image_reference import ImageReference, is_digest, is_tag
from launch.spec.inputs import Image, LockEntry

NIGHTLY = "nightly"  # what a recipe writes as min_vllm_version if no release is new enough


def check_channel(image: str, channel: str) -> None:
    """Raise Refused if the user names both an image and a channel of the lock."""
    if image and channel:
        why = f"a channel selects an image of the lock file, and --image {image} is another one"
        raise Refused("--image and --channel cannot be used together", why=why, fix=f"--channel {channel}")


def check_reference(asked: str) -> None:
    """Raise Refused for a reference without a name, and for an invalid tag or digest."""
    image = ImageReference.parse(asked)
    if not (asked.isascii() and asked.isprintable()):
        why = "a name has letters, digits and `.`, `_`, `-`, `/`, `:` and `@`"
        raise Refused(
            f"--image {asked[:120]!a} is not the name of an image", why=why, fix="--image REPOSITORY:TAG"
        )
    if "@" in asked and not is_digest(image.digest):
        why = "a digest is sha256: and 64 hexadecimal digits"
        fix = f"--image {image.name}@sha256:DIGEST"
        raise Refused(f"--image '{asked}' has no valid digest", why=why, fix=fix)
    if not image.repository.removeprefix("library/") or image.repository.endswith("/"):
        raise Refused(f"--image '{asked}' does not name an image", fix="--image REPOSITORY:TAG")
    if (":" in asked and asked.partition("@")[0].endswith(":")) or (image.tag and not is_tag(image.tag)):
        why = "a tag has at most 128 letters, digits, '_', '.' and '-', and begins with none of the last two"
        raise Refused(f"--image '{asked[:120]}' has no valid tag", why=why, fix=f"--image {image.name}:TAG")


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
