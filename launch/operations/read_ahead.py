"""Read the weights of a plan into the page cache while its container starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import SlipwayError
from launch.operations.events import Events
from launch.operations.host_facts import in_bytes
from launch.spec.plan import Plan
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.page_cache import ReadAhead, weight_files

GIB = 1 << 30
PER_GPU = 4 * GIB  # memory of the host for each rank: its libraries, its pinned buffers


@contextmanager
def reading_ahead(plan: Plan, memory_limit: str, events: Events) -> Iterator[None]:
    """Read ahead until the block ends; say what is done, or why nothing is."""
    reader = None
    # It only saves time: the server itself reports what it cannot read.
    with suppress(OSError, RuntimeError, SlipwayError):
        reader = _reader(plan, memory_limit)
        if reader:
            events.note(f"weights: {reader.start()}")
    try:
        yield
    finally:
        if reader:
            reader.stop()


def _reader(plan: Plan, memory_limit: str) -> ReadAhead | None:
    """Return what reads the weights of a plan; None if they are not known here."""
    folder = weights_of(plan)
    files = weight_files(folder) if folder else ()
    if not files:
        return None
    # A server on a CPU keeps its own copy of the weights; on GPUs they are copied there.
    size = sum(path.stat().st_size for path in files)
    needed = size + 2 * GIB if plan.platform == "cpu" else PER_GPU * max(1, plan.layout.gpus)
    return ReadAhead(files, needed, in_bytes(memory_limit) if memory_limit else 0)


def weights_of(plan: Plan) -> Path | None:
    """Return the folder with the weights that a plan's server loads; None if it is not known."""
    if plan.local_folder:
        return Path(plan.local_folder)
    folder = ModelFolder(cache_folder(), plan.model)
    commit = plan.commit or folder.commit(plan.revision)
    return folder.snapshot(commit) if commit else None
