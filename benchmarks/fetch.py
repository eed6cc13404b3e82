"""How fast `fetch` is beside snapshot_download and curl -Z, side by side in one run on loopback.

    .venv/bin/python benchmarks/fetch.py [--mib 1024] [--rounds 3] [--folder DIR ...]

In memory first, where nothing but the programs themselves is slow, then on the disk: there fetch ends when its bytes
are on it, as `curl` with `sync` does, while the two others leave them in the page cache. Each contender runs in a
process of its own, with a fresh cache, against a served folder in another process; the seconds are those of the
download alone, without starting Python. `verify --deep` runs beside parallel sha256sum.

A virtual machine may give free memory back to its host within seconds, and to have a GiB of it again was seen to cost
1 to 2.5 s of CPU, more than anything that is measured here. So every contender finds as much memory warm as it will
fill: that is done after Python has started, or whoever starts quickest would get the memory of the run before.
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
    """One run of one contender."""

    seconds: float
    peak: float  # MiB


VERIFIERS = ("slipway verify --deep", "sha256sum, parallel")
SHAPES = {"8 files": ("bench/eight", 8), "1 file": ("bench/one", 1)}

READY = "print(flush=True); sys.stdin.readline(); start = time.monotonic()"
HUB = f"""
import sys, time, huggingface_hub
{READY}
huggingface_hub.snapshot_download(sys.argv[1], cache_dir=sys.argv[2])
print(time.monotonic() - start)
"""
SLIPWAY = f"""
import sys, time, pathlib, huggingface_hub.hf_api
from launch.weights.fetch import fetch_model
from launch.weights.verify import verify_model
{READY}
fetch_model(sys.argv[1], cache=pathlib.Path(sys.argv[2]))
print(time.monotonic() - start)
"""
VERIFY = f"""
import sys, time, pathlib
from launch.weights.fetch import fetch_model
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
            seen = compare(model, files, work, endpoint, rounds, mib)
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


def compare(model: str, files: int, work: Path, endpoint: str, rounds: int, mib: int) -> dict[str, list[Run]]:
    """Seconds and peak MiB of every run; each round begins with another contender."""
    warm = work / "warm"
    python(SLIPWAY, model, warm, endpoint)  # the server hashes its files when first asked
    seen: dict[str, list[Run]] = {}
    runs = list(contenders(model, files, endpoint, mib).items())
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


def table(seen: dict[str, list[Run]], mib: int) -> str:
    """A line for each contender, with how many times as fast as it ours is."""
    speed = {name: mib / statistics.median(run.seconds for run in runs) for name, runs in seen.items()}
    lines = [f"{'':24}{'MiB/s':>8}{'ours is':>9}{'peak MiB':>10}"]
    for name, runs in seen.items():
        ours = speed["slipway verify --deep" if name in VERIFIERS else "slipway fetch"]
        peak = statistics.median(run.peak for run in runs)
        lines.append(f"{name:24}{speed[name]:8.0f}{ours / speed[name]:8.2f}x{peak:10.0f}")
    return "\n".join(lines)


def contenders(model: str, files: int, endpoint: str, mib: int) -> dict[str, Callable[[Path], Run]]:
    """What brings the model into a folder, each way."""
    return {
        "slipway fetch": lambda cache: python(SLIPWAY, model, cache, endpoint, mib),
        "snapshot_download": lambda cache: python(HUB, model, cache, endpoint, mib),
        "curl -Z (no hashes)": lambda cache: curl(model, files, cache, endpoint, mib),
        "curl -Z, then sync": lambda cache: curl(model, files, cache, endpoint, mib, sync=True),
    }


def python(code: str, model: str, cache: Path, endpoint: str, mib: int = 0) -> Run:
    """Run the code: the seconds that it measured, once `mib` MiB are warm for what it writes."""
    extra = {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = begun([sys.executable, "-c", code, model, str(cache)], extra)
    process.stdout.readline()  # type: ignore[union-attr]  # until it has started
    warm(cache.parent, mib)
    out, peak = ended(process, "\n")
    return Run(float(out), peak)


def curl(model: str, files: int, cache: Path, endpoint: str, mib: int, sync: bool = False) -> Run:
    """Without hashes; with `sync`, like a fetch, over only once the bytes are on disk."""
    cache.mkdir()
    names = [f"model-{number:05d}.safetensors" for number in range(files)]
    words = ["curl", "-Z", "-L", "-s", "-f", "--no-progress-meter"]
    for name in names:
        words += ["-o", str(cache / name), f"{endpoint}/{model}/resolve/main/{name}"]
    if sync:
        words = ["sh", "-c", f"{shlex.join(words)} && sync {shlex.join(str(cache / name) for name in names)}"]
    warm(cache.parent, mib)
    return timed(words)


def sha256sum(cache: Path) -> Run:
    """As many at once as there are cores."""
    blobs = [str(at) for at in cache.glob("models--*/blobs/*") if at.stat().st_size > MIB]
    return timed(["xargs", "-P", str(os.cpu_count()), "-n", "1", "sha256sum"], "\n".join(blobs))


def warm(folder: Path, mib: int) -> None:
    """Have this much memory, a fifth more to be sure, and let it go: for a moment the kernel keeps it at hand."""
    piece = bytes(MIB)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as scratch:
        for _ in range(mib * 6 // 5):
            scratch.write(piece)


def timed(command: list[str], stdin: str = "") -> Run:
    """A whole command, from its start to its end."""
    start = time.monotonic()
    _, peak = ended(begun(command, {}), stdin)
    return Run(time.monotonic() - start, peak)


def begun(command: list[str], extra: dict[str, str]) -> Process:
    """A contender's process."""
    return subprocess.Popen(
        command, env={**os.environ, **extra}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ended(process: Process, stdin: str) -> tuple[str, float]:
    """What it printed once it had this input, and its peak memory in MiB. Raises SystemExit where it failed."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(stdin)
    process.stdin.close()
    out = process.stdout.read()
    _, process.returncode, usage = os.wait4(process.pid, 0)
    if process.returncode:
        raise SystemExit(f"{process.args!r:.200} failed")
    return out, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
