"""Lock entry -> image: base, context, BuildKit, contract, tag.

Nothing gets its tag before it proved what it is.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed
from images import builder as backends
from images import context, contract, debian_base
from images.lock import Lock, Platform, load
from images.progress import Steps, follow

Show = Callable[[float, float | None, str], None]
WORK = Path(__file__).parent.parent / ".slipway"
BUILT_FROM = "slipway.unstamped"
ENTRYPOINT = ("vllm", "serve")  # of all our images, as of upstream's


@dataclass(frozen=True)
class Wish:
    """What the user asked for beside the platform."""

    backend: str = ""
    no_cache: bool = False
    cache_from: str = ""
    cache_to: str = ""
    base: str = ""


@dataclass(frozen=True)
class Built:
    """The image that a build left behind. Sizes are bytes, times seconds."""

    platform: str
    tag: str
    id: str
    size: int
    base: str
    vllm_version: str
    seconds: dict[str, float]
    fresh: bool


def reference(name: str, lock: Lock | None = None) -> str:
    """The local name of a platform's image: its vLLM version and the hash of every pinned input."""
    platform = (lock or load()).platform(name)
    version = platform.vllm.version or platform.vllm.commit[:12] or "base"
    return f"slipway/vllm-{name}:{version.replace('+', '_')}-{platform.digest}"


def request(
    name: str, platform: Platform, base: str, wish: Wish, settings: Path | None = None
) -> backends.Request:
    """The build as data. `settings` is the folder with this host's pip and apt settings, where written."""
    args = tuple(
        (key, value)
        for key, value in (
            ("BASE", base),
            ("DEBIAN_PACKAGES", " ".join(platform.debian)),
            ("LABELS_LOCK", platform.digest),
            ("LABELS_VLLM", platform.vllm.version),
            ("LABELS_COMMIT", platform.vllm.commit),
        )
        if value
    )
    secrets = tuple((p.stem, p) for p in sorted(settings.iterdir())) if settings else ()
    bundle = context.ca_bundle(context.pip_settings())
    secrets = (*secrets, ("ca", bundle)) if bundle else secrets
    return backends.Request(
        WORK / "context" / name,
        f"slipway/vllm-{name}:unproven",
        args,
        secrets,
        wish.no_cache,
        wish.cache_from,
        wish.cache_to,
    )


def build(client: Any, name: str, wish: Wish, show: Show) -> Built:
    """Build, read the contract, compare it to the lock, stamp it, tag.

    Raises Failed or Refused, and then tags nothing.
    """
    lock = load()
    platform = lock.platform(name)
    tool = backends.choose(wish.backend)
    base = wish.base or ensure_base(client, name, platform, show)
    with _settings(platform) as settings:
        asked = request(name, platform, base, wish, settings)
        _fill(asked.context, name, platform)
        steps = _run(tool, asked, show)
    return _prove(client, name, platform, asked.tag, reference(name, lock), base, steps, show)


def ensure_base(client: Any, name: str, platform: Platform, show: Show) -> str:
    """The pinned base, local or pulled; for CPU, where neither is to be had, one of this host's packages."""
    from docker.errors import APIError, DockerException, ImageNotFound

    local = debian_base.tag(platform.debian)
    for known in (platform.base.reference, local) if name == "cpu" else (platform.base.reference,):
        try:
            client.images.get(known)
            return known
        except ImageNotFound:
            continue
    try:
        show(0, None, f"pulling {platform.base.reference}")
        client.images.pull(platform.base.reference)
        return platform.base.reference
    except (APIError, DockerException) as error:
        if name != "cpu":
            raise Failed(
                f"cannot pull {platform.base.reference}",
                why=str(error)[-300:],
                fix="check the network to that registry, or mirror it with `invoke pin --mirror`",
            ) from None
        show(0, None, "no registry answers: making a base from this host's packages")
        return _own_base(client, local, platform)


def _own_base(client: Any, tag: str, platform: Platform) -> str:
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        tar = Path(folder, "base.tar")
        debian_base.make(tar, platform.debian)
        repository, _, version = tag.partition(":")
        client.api.import_image(src=str(tar), repository=repository, tag=version)
    return tag


@contextmanager
def _settings(platform: Platform) -> Iterator[Path]:
    """This host's pip and apt settings as files only we can read, for as long as the build runs."""
    pip = context.pip_settings()
    own = list(context.local_wheels(pip, platform.python.wheels))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pip.env").write_text(
            context.shell_words(context.uv_environment(pip, "" if own else platform.python.index))
        )
        Path(folder, "apt.conf").write_text(context.apt_settings())
        yield Path(folder)


def _fill(folder: Path, name: str, platform: Platform) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wheels = context.local_wheels(context.pip_settings(), platform.python.wheels)
    context.assemble(folder, name, platform, wheels)


def _run(tool: backends.Builder, asked: backends.Request, show: Show) -> Steps:
    words = backends.argv(tool, asked)
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **dict(tool.env)},
    )
    try:
        assert process.stdout is not None
        steps = follow(process.stdout, show)
    finally:
        if process.poll() is None:
            process.terminate()
        status = process.wait()
    if status:
        raise Failed(f"the build failed (exit {status})", why=_cause(steps), fix=_next(steps))
    return steps


def _cause(steps: Steps) -> str:
    """The lines that say it: BuildKit repeats the failing step at the end, so the last ones are enough."""
    return "\n    ".join(line for line in steps.tail[-12:] if line.strip())


def _next(steps: Steps) -> str:
    text = "\n".join(steps.tail)
    if "No space left" in text or "no space left" in text:
        return "free disk space (docker system df shows what the engine keeps)"
    if "dns error" in text or "Temporary failure" in text or "connect error" in text:
        return "check the network and the proxy of this host (pip config list)"
    return "read the lines above; --no-cache begins anew"


def _prove(
    client: Any, name: str, platform: Platform, unproven: str, tag: str, base: str, steps: Steps, show: Show
) -> Built:
    """Stamp the contract on the image and give it its tag, unless the very same image has them already."""
    image = client.images.get(unproven)
    known = _existing(client, tag)
    fresh = known is None or known.labels.get(BUILT_FROM) != image.id
    if fresh:
        show(steps.total or 1, steps.total, "reading the contract")
        found = contract.read(client, image.id)
        wrong = contract.differences(name, platform, found)
        if wrong:
            raise Failed(
                "the image is not what the lock says",
                why="; ".join(wrong),
                fix="`invoke pin` to a build that exists, or report the stale image upstream",
            )
        known = _stamp(client, image.id, tag, found, base)
    read = contract.parse(known.labels[contract.LABEL])
    return Built(name, tag, known.id, known.attrs["Size"], base, read.vllm_version, steps.seconds, fresh)


def _existing(client: Any, tag: str) -> Any:
    from docker.errors import ImageNotFound

    try:
        return client.images.get(tag)
    except ImageNotFound:
        return None


def _stamp(client: Any, image_id: str, tag: str, found: contract.Contract, base: str) -> Any:
    labels = {
        contract.LABEL: found.as_json(),
        BUILT_FROM: image_id,
        "slipway.base": base,
        "slipway.vllm": found.vllm_version,
    }
    dockerfile = io.BytesIO(f"FROM {image_id}\n".encode())
    image, _ = client.images.build(fileobj=dockerfile, tag=tag, labels=labels, rm=True)
    return image
