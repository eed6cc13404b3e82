"""Options that several verbs have, each described once."""

from __future__ import annotations

from typing import Annotated

from launch.spec.option import Option, pairs

OUTPUT = "Output"
FORMATS = ("text", "json")
CACHE = "Hugging Face cache (default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub)"

VERBOSE = Option("also print what the library logs, for example retries", group=OUTPUT)
QUIET = Option("print results and errors only", group=OUTPUT)
Format = Annotated[str, Option("output format", choices=FORMATS, group=OUTPUT)]
DryRun = Annotated[bool, Option("show what would be done and do nothing", group=OUTPUT)]
Name = Annotated[
    str,
    Option("name of the server (default: the only one)", metavar="NAME", positional=True, setting=True),
]
Model = Annotated[str, Option("model, as organization/name", metavar="MODEL", positional=True, setting=True)]
Revision = Annotated[
    str,
    Option(
        "branch, tag or commit (default: the commit in the lock file, else main)",
        metavar="REVISION",
        setting=True,
    ),
]
Cache = Annotated[str, Option(CACHE, metavar="PATH", setting=True)]
LockedPlatform = Annotated[str, Option("platform: cpu, cuda or rocm", metavar="NAME", setting=True)]
Channel = Annotated[
    str,
    Option(
        "channel of the platform in the lock file: stable, nightly or wheel (default: the first one)",
        metavar="NAME",
        setting=True,
    ),
]
Lock = Annotated[str, Option("lock file (default: images/lock.yaml)", metavar="PATH", setting=True)]
Notify = Annotated[
    str,
    Option(
        "run this command for each event of a supervised server (last argument: the event; stdin: JSON)",
        metavar="COMMAND",
        setting=True,
    ),
]
Registry = Annotated[
    tuple[tuple[str, str], ...],
    Option("send requests for a registry to this address", metavar="HOST=URL", parse=pairs),
]
