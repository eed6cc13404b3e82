"""Compare `invoke run` with `docker run` and a curl loop: the same image, model, command, access and caches.

    .venv/bin/python -m benchmarks.launch [--rounds 3]

Each start runs real vLLM on CPU and ends with one generation. A third start drops the cache mount. Then `invoke ps`
is timed. It needs an engine, the CPU image and the model of the demo (`make demo` leaves all three).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.by_hand import MODEL, docker_words, first_answer, timed
from benchmarks.throttled import run

ROOT = Path(__file__).parent.parent
NAME, PORT = "slipway-minimax-m2-tiny", 8577
WANTED = ["--platform", "cpu", "--model", MODEL, "--port", str(PORT)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    invoke("stop", check=False)
    starts: dict[str, Callable[[], float]] = {
        "docker run + curl": with_docker,
        "invoke run": with_slipway,
        "docker run + curl, no caches": without_caches,
    }
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    with_slipway()  # fills the page cache for all of them
    for _ in range(rounds):
        for name, start in starts.items():
            seconds[name].append(start())
    report(seconds)


def report(seconds: dict[str, list[float]]) -> None:
    """Print each median and its ratio to the start with docker."""
    docker = statistics.median(seconds["docker run + curl"])
    for name, values in seconds.items():
        median = statistics.median(values)
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:<32}{median:7.2f} s   {median / docker:5.3f} of docker run   ({each})")
    more = statistics.median(seconds["invoke run"]) - docker
    print(f"invoke run costs {more:+.2f} s; the limit is 0.3 s + 2 % = {0.3 + docker * 0.02:.2f} s")
    with_slipway(stop=False)
    took = [timed(lambda: invoke("ps")) for _ in range(5)]
    invoke("stop")
    print(f"invoke ps takes {statistics.median(took):.2f} s (0.2 s of it between its two readings)")


def with_slipway(stop: bool = True) -> float:
    """Time `invoke run`, which ends after the first generation."""
    took = timed(lambda: invoke("run", *WANTED))
    if stop:
        invoke("stop")
    return took


def with_docker(drop: str = "") -> float:
    """Time the docker command of the plan, without the mount whose option ends with `drop`."""
    words = docker_words(invoke("plan", *WANTED, "--format", "docker"))
    words[2:2] = ["--name", NAME]
    if drop:
        at = next(i for i, word in enumerate(words) if word.endswith(drop))
        del words[at - 1 : at + 1]
    took = timed(lambda: first_answer(lambda: run(*words), PORT))
    run("docker", "rm", "-f", NAME)
    return took


def without_caches() -> float:
    """Time a start that compiles everything again."""
    return with_docker(drop=":/cache")


def invoke(*words: str, check: bool = True) -> str:
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=check).stdout


if __name__ == "__main__":
    main()
