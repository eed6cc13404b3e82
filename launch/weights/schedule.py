"""Print how a host verifies a snapshot every week: a systemd timer of the user, or a line for cron."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def schedule(model: str, command: tuple[str, ...], folder: Path) -> str:
    """Return a service and a timer for `~/.config/systemd/user`, and a crontab line that does the same.

    `command` is the whole command, with the absolute path of its program; it runs in `folder`.
    """
    name = "slipway-verify-" + re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    return "\n".join(
        [*_service(name, model, command, folder), "", *_timer(name), "", *_cron(command, folder)]
    )


def _service(name: str, model: str, command: tuple[str, ...], folder: Path) -> list[str]:
    return [
        f"# ~/.config/systemd/user/{name}.service",
        "[Unit]",
        f"Description=Verify the weights of {model}",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_unit_path(folder)}",
        f"ExecStart={' '.join(_unit_word(word) for word in command)}",
        "Nice=19",
        "IOSchedulingClass=idle",  # a server that reads its weights comes first
    ]


def _timer(name: str) -> list[str]:
    return [
        f"# ~/.config/systemd/user/{name}.timer",
        "[Timer]",
        "OnCalendar=weekly",
        "RandomizedDelaySec=6h",  # hosts that share a file system do not read it at the same time
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
        f"# systemctl --user daemon-reload && systemctl --user enable --now {name}.timer",
    ]


def _cron(command: tuple[str, ...], folder: Path) -> list[str]:
    words = shlex.join(("nice", "-n", "19", *command))
    line = f"cd {shlex.quote(str(folder))} && {words} >/dev/null".replace(
        "%", r"\%"
    )  # cron ends a line at a %
    return ["# with cron instead of systemd:", f"# 17 3 * * 0 {line}"]


def _unit_path(path: Path) -> str:
    """Return a path for `WorkingDirectory=`, which takes the rest of the line."""
    return str(path).replace("%", "%%")


def _unit_word(word: str) -> str:
    """Return an argument of a command as systemd reads it: `%` and `$` begin its own names."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if _PLAIN.fullmatch(word) else f'"{escaped}"'
