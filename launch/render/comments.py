"""What to know before a file or command is used, as comment lines at its top."""

from __future__ import annotations

from launch.spec.control_characters import one_line
from launch.spec.image_reference import is_image_id
from launch.spec.plan import Plan


def comments(plan: Plan, elsewhere: bool = False) -> str:
    """Return the lines, each with its end of line; "" if there is nothing to say.

    `elsewhere`: other hosts or another engine will start the plan, and they cannot pull an image by its id.
    """
    source = plan.image_source
    notes = list(source.notes)
    if is_image_id(plan.image):
        notes.insert(0, f"{plan.image[:19]} is {source.name or 'an image of this engine'}")
        if elsewhere or len(plan.processes) > 1:
            notes.append(
                "only the engine of this host has this image: `invoke publish` copies it to a registry,"
                " and with the setting `registry` plans name it there"
            )
    if elsewhere and plan.platform == "cuda" and plan.container.read_only:
        notes.append(
            "crun before 1.26 cannot run NVIDIA's hooks on a read-only image (containers/crun#1924): with it,"
            " make the image writable"
        )
    return "".join(f"# {one_line(note)}\n" for note in notes)
