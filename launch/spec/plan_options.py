"""What a user asks of a plan: each field is one option of `invoke plan` and `invoke run`.

The command line, its help, the settings and the checks of values all come from these fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from errors import Refused
from launch.spec.option import integer, modes, option, pairs
from launch.spec.plan import AUTO_PORT
from launch.spec.sizes import size_of
from launch.spec.vllm_args import long_form

Pairs = tuple[tuple[str, str], ...]
Names = tuple[str, ...]

PLATFORMS = ("cuda", "rocm", "cpu")
ACCESS = ("least", "documented", "guide", "profiling", "rdma")
PREFER = ("measured", "measured:latency", "measured:throughput", "measured:balance")
CDI = ("auto", "yes", "no")
MODEL, HARDWARE, VLLM, CONTAINER = "Model", "Hardware", "vLLM", "Container"


# An engine needs two characters. Kubernetes adds to a name, and the result may have 63.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,39}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
MAX_NODES = 256
MAX_PIDS = 2**22  # the kernel's PID_MAX_LIMIT; it refuses a larger limit
LONGEST = 60  # characters of a value in a message


def server_name(label: str, given: Any) -> str:
    """Return a name that every engine accepts. Raises Refused, which names `label`."""
    name = str(given)
    if not NAME.fullmatch(name):
        why = "a name has 2 to 40 letters, digits, '-', '_' and '.', and begins with a letter or digit"
        raise Refused(f"{label} '{name}' is not a name for a server", why=why, fix="--name replica-1")
    return name


def tokens(label: str, given: Any) -> int:
    """Parse a number of tokens, as 32768 or 128K. Raises Refused, which names `label`."""
    number = size_of(str(given))
    if number is None or number < 1:
        raise Refused(
            f"{label} must be a positive integer (got '{str(given)[:LONGEST]}')", fix=f"{label} 32768"
        )
    return number


def flags(label: str, given: Iterable[str]) -> Pairs:
    """Parse `--flag=value` texts; short forms and underscores become the long form that the planner knows."""
    return tuple((long_form(name), value) for name, value in pairs(label, given))


def variables(label: str, given: Iterable[str]) -> Pairs:
    """Parse `NAME=VALUE` texts of environment variables. Raises Refused for a name that a shell does not take."""
    found = pairs(label, given)
    for name, _ in found:
        if not VARIABLE.fullmatch(name):
            why = "a name has letters, digits and _, and does not begin with a digit"
            raise Refused(f"{label} '{name[:LONGEST]}' is not the name of a variable", why=why)
    return found


def port_number(label: str, given: Any) -> int:
    """Parse a port or `auto`. Raises Refused, which names `label`."""
    if str(given) == "auto":
        return AUTO_PORT
    try:
        return integer(label, given, 1, 65535)
    except Refused as error:
        raise Refused(error.what.replace(" (got", ", or auto (got")) from None


def node_count(label: str, given: Any) -> int:
    """Parse a number of hosts. Raises Refused for more than one group of ranks can have."""
    try:
        return integer(label, given, 1, MAX_NODES)
    except Refused as error:
        why = "the ranks of one group step together; more hosts serve as copies of a smaller plan"
        large = str(given).isascii() and str(given).isdigit() and int(str(given)[:LONGEST]) > MAX_NODES
        raise Refused(
            error.what, why=why if large else "", fix="--nodes 2, with --replicas of invoke deploy"
        ) from None


@dataclass(frozen=True)
class PlanOptions:
    """Options of a plan. An empty field leaves the choice to the recipe or to this host."""

    model: str = option(
        "MiniMaxAI/MiniMax-M2",
        "model as org/name, with or without a recipe, or a local folder as ./name",
        metavar="MODEL",
        group=MODEL,
        positional=True,
        setting=True,
    )
    revision: str = option(
        "",
        "branch, tag or commit of the weights (default: the commit in the lock file, else the one in the cache)",
        metavar="REVISION",
        group=MODEL,
        setting=True,
    )
    strategy: str = option(
        "",
        "parallelism strategy, e.g. single_node_tp (default: chosen by the recipe)",
        metavar="NAME",
        group=MODEL,
    )
    prefer: str = option(
        "",
        "measured: the layout that `invoke bench --layouts` found to be the fastest, for any goal or for one",
        choices=PREFER,
        group=MODEL,
    )
    variant: str = option("", "use another checkpoint of the recipe", metavar="NAME", group=MODEL)
    features: Pairs = option(
        (), "enable a feature of the recipe", metavar="NAME[=MODE]", group=MODEL, flag="feature", parse=modes
    )
    without: Names = option((), "disable a feature", metavar="NAME", group=MODEL, flag="no-feature")
    responses_api: bool = option(False, "use the reasoning parser required by the Responses API", group=MODEL)
    workarounds: Names = option(
        (),
        "apply a named workaround, e.g. piecewise-cudagraphs",
        metavar="NAME",
        group=MODEL,
        flag="workaround",
    )
    recipes: str = option(
        "",
        "folder in the layout of vllm-project/recipes (default: the built-in recipes)",
        metavar="PATH",
        group=MODEL,
        setting=True,
    )
    hardware: str = option(
        "",
        "plan for this GPU, e.g. h200 or mi300x, instead of the GPUs of this host",
        metavar="NAME",
        group=HARDWARE,
        setting=True,
        overrides=("platform", "image"),
    )
    platform: str = option(
        "",
        "platform to plan for (default: that of the GPUs of this host)",
        choices=PLATFORMS,
        group=HARDWARE,
        setting=True,
        overrides=("hardware", "image"),
    )
    gpus: str = option(
        "",
        "number of free GPUs on each node, or GPU indices, e.g. 0,2; on cpu, the number of ranks (default: all)",
        metavar="NUMBER|LIST",
        group=HARDWARE,
        setting=True,
    )
    nodes: int = option(1, "number of hosts", metavar="NUMBER", group=HARDWARE, parse=node_count)
    max_model_len: int | None = option(
        None,
        "maximum context length in tokens, e.g. 32768 or 128K (default: chosen by the recipe)",
        metavar="NUMBER",
        group=VLLM,
        parse=tokens,
    )
    settings: Pairs = option(
        (),
        "set an option of vllm serve: --set --flag=value",
        metavar="FLAG=VALUE",
        group=VLLM,
        flag="set",
        parse=flags,
    )
    env: Pairs = option(
        (), "set an environment variable of the server", metavar="NAME=VALUE", group=VLLM, parse=variables
    )
    vllm: str = option(
        "",
        "vLLM version of an image that does not tell it (default: that of the image)",
        metavar="VERSION",
        group=VLLM,
        setting=True,
    )
    capabilities: str = option(
        "", "JSON file that lists what the vLLM of the image accepts", metavar="PATH", group=VLLM
    )
    image: str = option(
        "",
        "image to run; upstream: that of the recipe, else of vLLM (default: the one that the lock file describes)",
        metavar="IMAGE",
        group=CONTAINER,
        setting=True,
        overrides=("channel",),
    )
    lock: str = option(
        "",
        "lock file that describes image and weights (default: images/lock.yaml)",
        metavar="PATH",
        group=CONTAINER,
        setting=True,
    )
    channel: str = option(
        "",
        "channel of the platform in the lock file: stable, nightly or wheel (default: the first one)",
        metavar="NAME",
        group=CONTAINER,
        setting=True,
        overrides=("image",),
    )
    registry: str = option(
        "",
        "registry to take the published image of the lock file from, if this host has not built it",
        metavar="REGISTRY[/REPOSITORY]",
        group=CONTAINER,
        setting=True,
    )
    name: str = option(
        "",
        "name of the server (default: made from the model)",
        metavar="NAME",
        group=CONTAINER,
        setting=True,
        parse=server_name,
    )
    access: str = option(
        "least", "access profile of the container", choices=ACCESS, group=CONTAINER, setting=True
    )
    pids: int = option(
        0,
        "maximum number of processes and threads (default: by the access profile)",
        metavar="NUMBER",
        group=CONTAINER,
        maximum=MAX_PIDS,
    )
    port: int = option(
        8000,
        "host port to bind; auto: the first free port from 8000 on",
        metavar="PORT",
        group=CONTAINER,
        setting=True,
        short="p",
        parse=port_number,
    )
    listen: str = option(
        "127.0.0.1",
        "host address to bind; any address that is not loopback enables API-key authentication",
        metavar="ADDRESS",
        group=CONTAINER,
        setting=True,
    )
    cdi: str = option(
        "auto",
        "pass GPUs by CDI device name; auto: only if the engine requires it",
        choices=CDI,
        group=CONTAINER,
        setting=True,
    )
    memory_limit: str = ""  # of the container, e.g. 64g: no option of a plan, because `run` has it
