"""Write command lines for a shell: quoted where needed, except for the launcher's variables."""

from __future__ import annotations

import re
import shlex

from launch.spec.plan import Container, Port

# Addresses and interfaces that only the launcher knows. A shell expands these; every other dollar is quoted.
LAUNCHER_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*=)?\$(HEAD_IP|IFACE_NAME|IB_IF)")


def quote(word: str) -> str:
    """Return the word as it must be written for the shell."""
    return word if LAUNCHER_VARIABLE.fullmatch(word) else shlex.quote(word)


def paired(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Group the words of a command: each option with its values."""
    groups: list[tuple[str, ...]] = []
    for word in words:
        if not groups or word.startswith("--"):
            groups.append((word,))
        else:
            groups[-1] += (word,)
    return groups


def published(port: Port) -> str:
    """Return a published port as Docker, Compose and podman read it: an IPv6 address stands in brackets."""
    address = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{address}:{port.host}:{port.container}"


def make_folders(container: Container) -> tuple[str, ...]:
    """Return the command that creates the writable folders as the user; an engine would create them as root."""
    paths = [m.source for m in container.mounts if not m.read_only and m.source.startswith("/")]
    return ("mkdir", "-p", *paths) if paths else ()


def lines(groups: list[tuple[str, ...]], separator: str = " \\\n  ") -> str:
    """Join groups of words to one command, each word quoted, with a continued line for each group."""
    return separator.join(" ".join(quote(word) for word in group) for group in groups)
