"""Print how a host verifies a snapshot every week: a systemd timer of the user, or a line for cron."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from launch import systemd


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
        f"WorkingDirectory={systemd.path(str(folder))}",
        f"ExecStart={' '.join(map(systemd.word, command))}",
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
