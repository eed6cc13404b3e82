"""How long until it serves: `invoke run` beside a bare `docker run` and a curl loop, with the same image and model.

    .venv/bin/python -m benchmarks.launch [--rounds 3]

Both start real vLLM on CPU with the plan's own command, access and caches, in turn, and end with one generation.
Then the same start without the folder that keeps compiled and cached things, and `invoke ps`. Needs an engine and
the CPU image (`make demo` leaves both, and the model).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

from launch.paths import cache_dir

ROOT = Path(__file__).parent.parent
MODEL = "slipway/MiniMax-M2-tiny"
NAME, PORT = "slipway-minimax-m2-tiny", 8577
WANTED = ["--platform", "cpu", "--model", MODEL, "--port", str(PORT)]
ENV = {**os.environ, "HF_HUB_CACHE": str(cache_dir() / "demo/cache")}
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "What is a slipway?"}], "max_tokens": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    invoke("stop", check=False)
    contenders = {
        "docker run + curl": by_hand,
        "invoke run": by_us,
        "docker run + curl, no caches": without_caches,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    by_us()  # warms the page cache for all of them
    for _ in range(rounds):
        for name, start in contenders.items():
            seconds[name].append(start())
    report(seconds)


def report(seconds: dict[str, list[float]]) -> None:
    """Medians, and each as a ratio to the start by hand."""
    usual = statistics.median(seconds["docker run + curl"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        spread = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:<32}{middle:7.2f} s   {middle / usual:5.3f} of docker run   ({spread})")
    ours = statistics.median(seconds["invoke run"])
    print(f"invoke run costs {ours - usual:+.2f} s; allowed are 0.3 s + 2 % = {0.3 + usual * 0.02:.2f} s")
    by_us(stop=False)
    took = [timed(lambda: invoke("ps")) for _ in range(5)]
    invoke("stop")
    print(f"invoke ps takes {statistics.median(took):.2f} s (0.2 s of it between its two readings)")


def by_us(stop: bool = True) -> float:
    """`invoke run`, from the key press to the proven server."""
    took = timed(lambda: invoke("run", *WANTED))
    if stop:
        invoke("stop")
    return took


def by_hand(drop: str = "") -> float:
    """The plan's own docker line, then a curl loop on /health, then one question."""
    line = invoke("plan", *WANTED, "--format", "docker")
    words = [word for word in shlex.split(line.replace("\\\n", " ")) if word != "\n"]
    words = words[words.index("docker") :]
    words[2:2] = ["--name", NAME]
    if drop:
        at = next(i for i, word in enumerate(words) if word.endswith(drop))
        del words[at - 1 : at + 1]
    took = timed(lambda: served(words))
    run("docker", "rm", "-f", NAME)
    return took


def without_caches() -> float:
    """By hand, and with nothing kept from an earlier start."""
    return by_hand(drop=":/cache")


def served(words: list[str]) -> None:
    """Start it and wait as one does by hand. Bounded: five minutes."""
    run(*words)
    url = f"http://127.0.0.1:{PORT}"
    for _ in range(3000):
        if subprocess.run(["curl", "-sf", f"{url}/health"], capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
    ask = ["-H", "Content-Type: application/json", "-d", json.dumps(QUESTION), f"{url}/v1/chat/completions"]
    run("curl", "-sf", *ask)


def timed(call: object) -> float:
    start = time.monotonic()
    call()  # type: ignore[operator]
    return time.monotonic() - start


def invoke(*words: str, check: bool = True) -> str:
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(argv, cwd=ROOT, env=ENV, capture_output=True, text=True, check=check).stdout


def run(*words: str) -> None:
    subprocess.run(words, capture_output=True, check=True)


if __name__ == "__main__":
    main()
