"""Say why a plan has a flag, an environment variable or a container setting, from the reasons in the plan."""

from __future__ import annotations

from errors import Refused, choice
from launch.spec.plan import Plan, Reason
from launch.spec.vllm_args import SHORT, long_form

# Options of `docker run` and keys of a Compose file, and the items of the container that they set.
OF_ENGINES = {
    "device": ("gpus", "/dev/kfd"),
    "group-add": ("groups",),
    "mount": ("/hub", "/cache", "/work"),
    "p": ("publish",),
    "pids": ("pids-limit",),
    "port": ("publish",),
    "ports": ("publish",),
    "security-opt": ("no-new-privileges", "seccomp"),
    "shm-size": ("/dev/shm",),
    "tmpfs": ("/tmp",),
    "v": ("/hub", "/cache", "/work"),
    "volume": ("/hub", "/cache", "/work"),
    "volumes": ("/hub", "/cache", "/work"),
}


def explain(plan: Plan, asked: str) -> tuple[Reason, ...]:
    """Return the reasons for an item, and the notes that name it. Raises Refused, with a near miss, for none."""
    wanted = (_key(asked), *OF_ENGINES.get(_key(asked), ()))
    found = [reason for reason in plan.reasons if _key(reason.item) in wanted]
    if not found:
        raise _unknown(plan, asked)
    name = found[0].item.split()[0].partition("=")[0]
    notes = (Reason(found[0].item, note, "note") for note in plan.notes if name in note.split())
    return (*found, *notes)


def _key(item: str) -> str:
    """Return what names an item: its first word without a value and without dashes, in the long form of a flag."""
    words = item.split()
    name = words[0].partition("=")[0] if words else ""
    name = SHORT.get(f"-{name}", name)  # tp
    return long_form(name).lstrip("-").lower().replace("_", "-")


def _unknown(plan: Plan, asked: str) -> Refused:
    names = {_key(reason.item): reason.item.split()[0].partition("=")[0] for reason in plan.reasons}
    near = choice("item", _key(asked), tuple(names))
    hint = near.what.partition(". ")[2]
    for key, name in names.items():
        hint = hint.replace(f"`{key}`", f"`{name}`")
    return Refused(
        f"the plan has no '{asked[:80]}'{f'. {hint}' if hint else ''}",
        why="it is in neither the command nor the environment nor the container's settings",
        fix="`invoke plan` with the same options shows every item under `why`",
    )
