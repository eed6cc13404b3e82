"""What to know before a file or command is used, as comment lines at its top."""

from __future__ import annotations

from collections.abc import Iterator

from launch.spec.control_characters import one_line
from launch.spec.image_reference import is_image_id
from launch.spec.plan import Plan

CRUN = (
    "crun before 1.26 cannot run NVIDIA's hooks on a read-only image (containers/crun#1924): with it,"
    " make the image writable"
)


def comments(plan: Plan, elsewhere: bool = False) -> str:
    """Return the lines, each with its end of line; "" if there is nothing to say.

    `elsewhere`: other hosts or another engine will start the plan. They can pull an image only from a registry.
    """
    notes = [
        *_notes(plan, elsewhere or len(plan.processes) > 1),
        *([CRUN] if _needs_hooks(plan) and elsewhere else []),
    ]
    return "".join(f"# {one_line(note)}\n" for note in notes)


def _needs_hooks(plan: Plan) -> bool:
    return plan.platform == "cuda" and plan.container.read_only


def _notes(plan: Plan, elsewhere: bool) -> Iterator[str]:
    source, is_id = plan.image_source, is_image_id(plan.image)
    if is_id:
        yield f"{plan.image[:19]} is {source.name or 'an image of this engine'}"
    yield from source.notes
    if elsewhere and source.origin in ("built", "not built"):
        yield (
            "other hosts cannot pull this image: `invoke publish` copies it to a registry,"
            " and with the setting `registry` plans name it there"
        )
    elif elsewhere and is_id:
        yield "other hosts cannot pull this image: push it to a registry, then use --image REPOSITORY@sha256:DIGEST"
