"""`invoke pin`: refresh images/lock.yaml from the registry and the wheel index; keep copies of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commands.output import bar, emit, say
from commands.task import one_of, pairs, setting, verb
from errors import Failed, Refused


@verb(
    help={
        "platform": "the platform to refresh (default: all)",
        "commit": "a vLLM commit, all 40 digits",
        "version": "a vLLM release",
        "nightly": "the newest nightly",
        "base": "another repository for the base, e.g. docker.io/vllm/vllm-openai-rocm",
        "mirror": "copy base and wheel to this REGISTRY[/PREFIX] and record it",
        "registry": "HOST=URL: where a registry really listens (repeatable)",
        "wheels": "vLLM's wheel index",
        "lock": "another lock than images/lock.yaml",
        "dry-run": "show what would change, write nothing",
        "format": "text or json",
    },
    iterable=["registry"],
)
def pin(
    c: Any,
    platform: str = "",
    commit: str = "",
    version: str = "",
    nightly: bool = False,
    base: str = "",
    mirror: str = "",
    registry: list[str] | None = None,
    wheels: str = "",
    lock: str = "",
    dry_run: bool = False,
    format: str = "text",
) -> None:
    """Ask what there is now, show old -> new, write the lock; without an answer it stays as it is.

    invoke pin --platform cuda --nightly
    invoke pin --platform rocm --mirror registry.example/slipway
    """
    from images import host_settings
    from images.lock import lockfile as locks
    from images.lock import pin as pins
    from images.registry import reference

    one_of("format", format, ("text", "json"))
    path = Path(setting(c, "lock", lock) or locks.LOCK)
    if base and not platform:
        raise Refused("--base is one platform's", fix="--platform P --base REPOSITORY")
    options = pins.PinOptions(commit, version, nightly, reference.repository("--base", base) if base else "")
    sources = pins.Sources(
        datetime.now(UTC).date(),
        reference.web("--wheels", setting(c, "wheels", wheels) or pins.WHEELS),
        {host: reference.web(f"--registry {host}", url) for host, url in pairs("--registry", registry or [])},
        host_settings.find_links(),
    )
    if mirror:
        reference.place("--mirror", mirror)
    old = locks.load(path)
    names = [platform] if platform else list(old.platforms)
    new = {name: _refresh(path, old, name, options, sources, mirror) for name in names}
    _write(path, old, new, write=not (dry_run or c.config.run.dry), format=format)


def _refresh(path: Path, old: Any, name: str, options: Any, sources: Any, mirror: str) -> Any:
    from images.lock import mirror as mirrors
    from images.lock import pin as pins
    from images.lock import validation

    entry = old.platform(name)
    text = (path.parent / entry.python.requirements).read_text() if entry.python.requirements else ""
    with bar(f"pin {name}") as progress:
        try:
            pinned = pins.refresh(entry, options, sources, lambda line: progress.update(0, None, line), text)
            for key, wrong in validation.problems(name, pinned.platform):
                raise Failed(f"{key}: {wrong}")
            if mirror:
                kept = mirrors.copy_inputs(pinned.platform, mirror, sources, progress.update)
                pinned = pins.Pinned(kept, pinned.requirements)
        except Failed as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            raise Failed(f"cannot pin {name}; {path.name} is unchanged", why=why, fix=error.fix) from None
    return pinned


def _write(path: Path, old: Any, new: dict[str, Any], write: bool, format: str) -> None:
    from images.lock import writer

    platforms = {n: new[n].platform if n in new else p for n, p in old.platforms.items()}
    seen = [
        {"platform": n, "key": k, "old": a, "new": b}
        for n in new
        for k, a, b in writer.changes(old.platforms[n], platforms[n])
    ]
    if write and seen:
        resolved = [p for p in new.values() if p.requirements]
        files = {path.parent / p.platform.python.requirements: p.requirements for p in resolved}
        writer.write({**files, path: writer.render(old.model_copy(update={"platforms": platforms}))})
    if format == "json":
        emit({"lock": str(path), "changes": seen, "written": bool(write and seen)})
        return
    for row in seen:
        print(f"{row['platform']}.{row['key']}: {row['old'] or '-'} -> {row['new'] or '-'}")
    done = f"{len(seen)} changes" if seen else "nothing changed"
    say(f"{path}: {done}{'' if write else ', not written'}")
