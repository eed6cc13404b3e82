"""How fast `fetch` is beside snapshot_download and curl -Z, side by side in one run on loopback.

    .venv/bin/python benchmarks/fetch.py [--mib 1024] [--rounds 3] [--folder DIR ...]

In memory first, where nothing but the programs themselves is slow, then on the disk: there fetch ends when its bytes
are on it, as `curl` with `sync` does, while the two others leave them in the page cache. Each contender runs in a
process of its own, with a fresh cache, against a served folder in another process; the seconds are those of the
download alone, without starting Python. `verify --deep` runs beside parallel sha256sum.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
MEMORY = Path("/dev/shm")
VERIFIERS = ("slipway verify --deep", "sha256sum, parallel")
SHAPES = {"8 files": ("bench/eight", 8), "1 file": ("bench/one", 1)}

HUB = """
import sys, time, pathlib, huggingface_hub
start = time.monotonic()
huggingface_hub.snapshot_download(sys.argv[1], cache_dir=sys.argv[2])
print(time.monotonic() - start)
"""
SLIPWAY = """
import sys, time, pathlib, huggingface_hub.hf_api
from launch import weights
start = time.monotonic()
weights.fetch(sys.argv[1], cache=pathlib.Path(sys.argv[2]))
print(time.monotonic() - start)
"""
VERIFY = """
import sys, time, pathlib
from launch import weights
start = time.monotonic()
weights.verify(sys.argv[1], cache=pathlib.Path(sys.argv[2]), deep=True)
print(time.monotonic() - start)
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--mib", type=int, default=1024, help="MiB to fetch in each shape")
    options.add_argument("--rounds", type=int, default=3, help="runs of each contender; the median counts")
    options.add_argument(
        "--folder", type=Path, nargs="+", default=[MEMORY, Path(tempfile.gettempdir())], help="where to work"
    )
    given = options.parse_args()
    for folder in given.folder:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            measure(folder, Path(work), given.mib, given.rounds)


def measure(folder: Path, work: Path, mib: int, rounds: int) -> None:
    """Both shapes, served and fetched below one folder."""
    for model, files in SHAPES.values():
        write_model(work / "served" / model, files, mib)
    with served(work / "served") as endpoint:
        for shape, (model, files) in SHAPES.items():
            seen = compare(model, files, work, endpoint, rounds)
            print(f"\n{mib} MiB in {shape} below {folder}, median of {rounds} on {os.cpu_count()} cores\n")
            print(table(seen, mib), flush=True)


def write_model(folder: Path, files: int, mib: int) -> None:
    """Random bytes in `files` weights files, and the small files that any model has."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for number in range(files):
        with (folder / f"model-{number:05d}.safetensors").open("wb") as stream:
            for _ in range(mib // files):
                stream.write(os.urandom(MIB))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A served folder in a process of its own; its address."""
    command = [sys.executable, "-m", "invoke", "serve-weights", str(folder), "--port", "0"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.terminate()
        process.wait()


def compare(
    model: str, files: int, work: Path, endpoint: str, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds and peak MiB of every run; each round begins with another contender."""
    warm = work / "warm"
    python(SLIPWAY, model, warm, endpoint)  # the server hashes its files when first asked
    seen: dict[str, list[tuple[float, float]]] = {}
    runs = list(contenders(model, files, endpoint).items())
    for number in range(rounds):
        first = number % len(runs)
        for name, run in runs[first:] + runs[:first]:
            cache = work / "cache"
            seen.setdefault(name, []).append(run(cache))
            shutil.rmtree(cache)
        seen.setdefault("slipway verify --deep", []).append(python(VERIFY, model, warm, endpoint))
        seen.setdefault("sha256sum, parallel", []).append(sha256sum(warm))
    shutil.rmtree(warm)
    return seen


def table(seen: dict[str, list[tuple[float, float]]], mib: int) -> str:
    """A line for each contender, with how many times as fast as it ours is."""
    speed = {name: mib / statistics.median(seconds for seconds, _ in runs) for name, runs in seen.items()}
    lines = [f"{'':24}{'MiB/s':>8}{'ours is':>9}{'peak MiB':>10}"]
    for name, runs in seen.items():
        ours = speed["slipway verify --deep" if name in VERIFIERS else "slipway fetch"]
        peak = statistics.median(peak for _, peak in runs)
        lines.append(f"{name:24}{speed[name]:8.0f}{ours / speed[name]:8.2f}x{peak:10.0f}")
    return "\n".join(lines)


def contenders(model: str, files: int, endpoint: str):  # type: ignore[no-untyped-def]
    return {
        "slipway fetch": lambda cache: python(SLIPWAY, model, cache, endpoint),
        "snapshot_download": lambda cache: python(HUB, model, cache, endpoint),
        "curl -Z (no hashes)": lambda cache: curl(model, files, cache, endpoint),
        "curl -Z, then sync": lambda cache: curl(model, files, cache, endpoint, sync=True),
    }


def python(code: str, model: str, cache: Path, endpoint: str) -> tuple[float, float]:
    """Seconds that the code measured, and its process's peak memory in MiB."""
    extra = {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", code, model, str(cache)]
    return measured(command, extra, lambda out, _: float(out))


def curl(model: str, files: int, cache: Path, endpoint: str, sync: bool = False) -> tuple[float, float]:
    """Without hashes; with `sync`, like a fetch, over only once the bytes are on disk."""
    cache.mkdir()
    names = [f"model-{number:05d}.safetensors" for number in range(files)]
    words = ["curl", "-Z", "-L", "-s", "-f", "--no-progress-meter"]
    for name in names:
        words += ["-o", str(cache / name), f"{endpoint}/{model}/resolve/main/{name}"]
    if sync:
        words = ["sh", "-c", f"{shlex.join(words)} && sync {shlex.join(str(cache / name) for name in names)}"]
    return measured(words, {}, lambda _, seconds: seconds)


def sha256sum(cache: Path) -> tuple[float, float]:
    blobs = [str(at) for at in cache.glob("models--*/blobs/*") if at.stat().st_size > MIB]
    command = ["xargs", "-P", str(os.cpu_count()), "-n", "1", "sha256sum"]
    return measured(command, {}, lambda _, seconds: seconds, "\n".join(blobs))


def measured(command, extra, seconds_of, stdin=""):  # type: ignore[no-untyped-def]
    start = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, **extra}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(stdin)
    process.stdin.close()
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{json.dumps(command)[:200]} failed")
    return seconds_of(out, time.monotonic() - start), usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
