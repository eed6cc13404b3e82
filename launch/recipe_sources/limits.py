"""How large a recipe source may be, and which of its files are recipes. A source is not trusted."""

from __future__ import annotations

from pathlib import PurePosixPath

from errors import Refused
from launch.spec.control_characters import FORBIDDEN

MIB = 2**20
MAX_FILES, MAX_FILE, MAX_TOTAL = (
    10_000,
    1 * MIB,
    64 * MIB,
)  # vllm-project/recipes: some hundred files of a few KB
MAX_LISTING = 8 * MIB  # of paths: a tree that holds itself many times would have no end
MAX_PACK = 256 * MIB  # what git may download, with the history
FOLDERS, FILES = ("models", "strategies"), ("taxonomy.yaml",)
YAML = (".yaml", ".yml")


def is_recipe_file(path: str) -> bool:
    """Return whether a path of a source, with slashes, is a recipe, a strategy or the hardware table."""
    return path in FILES or (path.partition("/")[0] in FOLDERS and path.endswith(YAML))


def check_path(path: str) -> None:
    """Raise Refused for a path that could be written elsewhere or cannot be shown."""
    parts = PurePosixPath(path).parts
    if FORBIDDEN.search(path) or path.startswith("/") or ".." in parts or "\\" in path or len(path) > 500:
        raise refused(f"the path {path[:80]!a} is not allowed")


def check_sizes(sizes: dict[str, int]) -> None:
    """Raise Refused for too many or too large files."""
    if len(sizes) > MAX_FILES:
        raise refused(f"it has {len(sizes):,} recipes, and {MAX_FILES:,} is the limit")
    for path, size in sizes.items():
        if size > MAX_FILE:
            raise refused(
                f"{path} has {size / MIB:.1f} MiB, and {MAX_FILE // MIB} MiB is the limit for a file"
            )
    if (total := sum(sizes.values())) > MAX_TOTAL:
        raise refused(f"its recipes have {total / MIB:.0f} MiB, and {MAX_TOTAL // MIB} MiB is the limit")


def refused(why: str) -> Refused:
    """Return the refusal of a source for what is in it."""
    fix = "report it to the author of the source; `invoke recipes list` shows the sources that are in use"
    return Refused("the recipe source is refused", why=why, fix=fix)
