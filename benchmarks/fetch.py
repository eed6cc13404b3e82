"""Compare the speed of `fetch` with snapshot_download and curl -Z in one run, on loopback.

    .venv/bin/python benchmarks/fetch.py [--mib 1024] [--rounds 3] [--folder DIR ...]

The default folders are in memory, where only the programs themselves limit the speed, and on disk. On disk, fetch ends
when its bytes are written, like `curl` followed by `sync`; the two others leave them in the page cache. Each program
runs in its own process, with an empty cache, against a served folder in another process. The seconds are those of the
download, without starting Python. `verify --deep` is compared with parallel sha256sum.

A virtual machine may return free memory to its host within seconds. Getting one GiB back has cost 1 to 2.5 s of CPU,
more than anything that is measured here. So every program finds as much memory ready as it will fill; this is done
after Python has started, otherwise the program that starts fastest would get the memory of the run before.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
MEMORY = Path("/dev/shm")
Process = subprocess.Popen[str]


class Run(NamedTuple):
    """One run of one program."""

    seconds: float
    peak: float  # MiB


FETCH, SNAPSHOT_DOWNLOAD = "slipway fetch", "snapshot_download"
VERIFY, SHA256SUM = "slipway verify --deep", "sha256sum, parallel"
SHAPES = {"8 files": ("bench/eight", 8), "1 file": ("bench/one", 1)}

READY = "print(flush=True); sys.stdin.readline(); start = time.monotonic()"
SNAPSHOT_DOWNLOAD_CODE = f"""
import sys, time, huggingface_hub
{READY}
huggingface_hub.snapshot_download(sys.argv[1], cache_dir=sys.argv[2])
print(time.monotonic() - start)
"""
FETCH_CODE = f"""
import sys, time, pathlib, huggingface_hub.hf_api
from launch.weights.fetch import fetch_model
{READY}
fetch_model(sys.argv[1], cache=pathlib.Path(sys.argv[2]))
print(time.monotonic() - start)
"""
VERIFY_CODE = f"""
import sys, time, pathlib
from launch.weights.verify import verify_model
{READY}
verify_model(sys.argv[1], cache=pathlib.Path(sys.argv[2]), deep=True)
print(time.monotonic() - start)
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--mib", type=int, default=1024, help="MiB to fetch in each shape")
    options.add_argument("--rounds", type=int, default=3, help="runs of each program; the median counts")
    options.add_argument(
        "--folder", type=Path, nargs="+", default=[MEMORY, Path(tempfile.gettempdir())], help="where to work"
    )
    given = options.parse_args()
    results = []
    for folder in given.folder:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            results += measure(folder, Path(work), given.mib, given.rounds)
    print(
        f"\nratio: {FETCH} is {span(results, FETCH, SNAPSHOT_DOWNLOAD)} times as fast as {SNAPSHOT_DOWNLOAD}"
    )
    print(f"ratio: {VERIFY} is {span(results, VERIFY, SHA256SUM)} times as fast as {SHA256SUM}")


def span(results: list[dict[str, list[Run]]], own: str, other: str) -> str:
    """Return the lowest and the highest ratio of two programs' speeds, of all shapes and folders."""
    ratios = sorted(seconds(runs[other]) / seconds(runs[own]) for runs in results)
    return f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


def seconds(runs: list[Run]) -> float:
    """Return the median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def measure(folder: Path, work: Path, mib: int, rounds: int) -> list[dict[str, list[Run]]]:
    """Measure both shapes, served and fetched below one folder; return the runs of each."""
    results = []
    for model, files in SHAPES.values():
        write_model(work / "served" / model, files, mib)
    with served(work / "served") as endpoint:
        for shape, (model, files) in SHAPES.items():
            runs = compare(model, files, work, endpoint, rounds, mib)
            print(f"\n{mib} MiB in {shape} below {folder}, median of {rounds} on {os.cpu_count()} cores\n")
            print(table(runs, mib), flush=True)
            results.append(runs)
    return results


def write_model(folder: Path, files: int, mib: int) -> None:
    """Write random bytes to `files` weights files, and a config.json."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for number in range(files):
        with (folder / f"model-{number:05d}.safetensors").open("wb") as stream:
            for _ in range(mib // files):
                stream.write(os.urandom(MIB))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from another process; yield its URL."""
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


def compare(model: str, files: int, work: Path, endpoint: str, rounds: int, mib: int) -> dict[str, list[Run]]:
    """Return all runs of each program; each round begins with another program."""
    full_cache = work / "full"
    python(FETCH_CODE, model, full_cache, endpoint)  # the server hashes its files at the first request
    results: dict[str, list[Run]] = {}
    fetchers = list(programs(model, files, endpoint, mib).items())
    for number in range(rounds):
        first = number % len(fetchers)
        for name, run in fetchers[first:] + fetchers[:first]:
            cache = work / "cache"
            results.setdefault(name, []).append(run(cache))
            shutil.rmtree(cache)
        results.setdefault(VERIFY, []).append(python(VERIFY_CODE, model, full_cache, endpoint))
        results.setdefault(SHA256SUM, []).append(sha256sum(full_cache))
    shutil.rmtree(full_cache)
    return results


def table(results: dict[str, list[Run]], mib: int) -> str:
    """Return a line for each program, with Slipway's speed relative to it."""
    speed = {name: mib / seconds(runs) for name, runs in results.items()}
    lines = [f"{'':24}{'MiB/s':>8}{'Slipway':>9}{'peak MiB':>10}"]
    for name, runs in results.items():
        slipway = speed[VERIFY if name in (VERIFY, SHA256SUM) else FETCH]
        peak = statistics.median(run.peak for run in runs)
        lines.append(f"{name:24}{speed[name]:8.0f}{slipway / speed[name]:8.2f}x{peak:10.0f}")
    return "\n".join(lines)


def programs(model: str, files: int, endpoint: str, mib: int) -> dict[str, Callable[[Path], Run]]:
    """Return the programs that fetch the model into a folder."""
    return {
        FETCH: lambda cache: python(FETCH_CODE, model, cache, endpoint, mib),
        SNAPSHOT_DOWNLOAD: lambda cache: python(SNAPSHOT_DOWNLOAD_CODE, model, cache, endpoint, mib),
        "curl -Z (no hashes)": lambda cache: curl(model, files, cache, endpoint, mib),
        "curl -Z, then sync": lambda cache: curl(model, files, cache, endpoint, mib, sync=True),
    }


def python(code: str, model: str, cache: Path, endpoint: str, mib: int = 0) -> Run:
    """Run code that measures its own seconds, after `mib` MiB of memory are ready for what it writes."""
    environ = {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = start([sys.executable, "-c", code, model, str(cache)], environ)
    assert process.stdout is not None
    process.stdout.readline()  # until it has started
    prepare_memory(cache.parent, mib)
    out, peak = finish(process, "\n")
    return Run(float(out), peak)


def curl(model: str, files: int, cache: Path, endpoint: str, mib: int, sync: bool = False) -> Run:
    """Run curl, which verifies no hashes; with `sync` until the bytes are on disk, like a fetch."""
    cache.mkdir()
    names = [f"model-{number:05d}.safetensors" for number in range(files)]
    words = ["curl", "-Z", "-L", "-s", "-f", "--no-progress-meter"]
    for name in names:
        words += ["-o", str(cache / name), f"{endpoint}/{model}/resolve/main/{name}"]
    if sync:
        words = ["sh", "-c", f"{shlex.join(words)} && sync {shlex.join(str(cache / name) for name in names)}"]
    prepare_memory(cache.parent, mib)
    return timed(words)


def sha256sum(cache: Path) -> Run:
    """Run sha256sum on all blobs, one process per core."""
    blobs = [str(path) for path in cache.glob("models--*/blobs/*") if path.stat().st_size > MIB]
    return timed(["xargs", "-P", str(os.cpu_count()), "-n", "1", "sha256sum"], "\n".join(blobs))


def prepare_memory(folder: Path, mib: int) -> None:
    """Allocate this much memory and a fifth more, then free it: the kernel keeps it ready for a moment."""
    piece = bytes(MIB)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as scratch:
        for _ in range(mib * 6 // 5):
            scratch.write(piece)


def timed(command: list[str], stdin: str = "") -> Run:
    """Run a command and measure it from its start to its end."""
    begin = time.monotonic()
    _, peak = finish(start(command, {}), stdin)
    return Run(time.monotonic() - begin, peak)


def start(command: list[str], environ: dict[str, str]) -> Process:
    """Start a program."""
    return subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finish(process: Process, stdin: str) -> tuple[str, float]:
    """Return a program's output for this input, and its peak memory in MiB. Exits if it fails."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(stdin)
    process.stdin.close()
    out = process.stdout.read()
    _, process.returncode, usage = os.wait4(process.pid, 0)
    if process.returncode:
        raise SystemExit(f"{process.args!r:.200} failed")
    return out, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
