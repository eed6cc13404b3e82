"""From a host with nothing on it to the first token: `invoke run --fetch` beside the same steps one after another.

    .venv/bin/python -m benchmarks.bare_host [--mbit 240] [--mib 384] [--rounds 1]

Registry and Hub are real servers at the end of equally slow wires, the engine is a dockerd that has no image, the HF
cache is empty. By hand means `docker pull`, `hf download`, `docker run` with the plan's own line, a curl loop and one
question. The weights are the tiny MiniMax-M2 and a file of `--mib` that no server reads, so that they weigh as much
as the image. Needs root, docker-registry, and the CPU image (`make demo` leaves it).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median

from benchmarks.throttled import Wire, engine, run, until, wire

ROOT = Path(__file__).parent.parent
MODEL = "slipway/MiniMax-M2-tiny"
PORT = "8577"
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "What is a slipway?"}], "max_tokens": 8}


@dataclass(frozen=True)
class Host:
    """What a contender is given: an engine, an empty cache, and where image and weights are to be had."""

    image: str
    env: dict[str, str]

    @property
    def wanted(self) -> list[str]:
        """The options of `invoke run` and `invoke plan`."""
        return [
            "--platform",
            "cpu",
            "--model",
            MODEL,
            "--image",
            self.image,
            "--vllm",
            "0.32.0",
            "--port",
            PORT,
        ]

    def call(self, *words: str) -> str:
        """What a command says that must succeed on this host."""
        done = subprocess.run(words, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)[:300]}: {done.stderr[-1500:]}")
        return done.stdout

    def invoke(self, *words: str) -> str:
        """The same for one of ours."""
        return self.call(sys.executable, "-m", "invoke", *words)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mbit", type=int, default=240, help="of each wire")
    options.add_argument("--mib", type=int, default=384, help="of weights that nobody reads")
    options.add_argument("--rounds", type=int, default=1)
    given = options.parse_args()
    if missing := [tool for tool in ("docker-registry", "dockerd", "tc", "ip", "curl") if not which(tool)]:
        raise SystemExit(
            f"not installed: {', '.join(missing)} (apt-get install docker-registry docker.io iproute2 curl)"
        )
    seconds: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        digest = pushed(folder)
        registry, hub = (stack.enter_context(wire(number, given.mbit)) for number in (1, 2))
        stack.enter_context(serving(registry.inside(*registry_words(folder, f"{registry.address}:5000"))))
        weights(folder / "served" / MODEL, given.mib)
        stack.enter_context(serving(hub_words(hub, folder / "served")))
        until(["curl", "-sf", f"http://{registry.address}:5000/v2/"])
        until(["curl", "-sf", f"http://{hub.address}:8000/api/models/{MODEL}/revision/main"])
        for number in range(given.rounds):
            order = [("invoke run --fetch", by_us), ("by hand", by_hand)]
            for name, way in order if number % 2 else reversed(order):
                with bare(f"{registry.address}:5000", digest, hub) as host:
                    for step, took in way(host).items():
                        seconds.setdefault(f"{name}{step}", []).append(took)
    report(seconds)


def pushed(folder: Path) -> str:
    """Push the CPU image into a registry's folder over loopback; its digest."""
    from images.build.pipeline import reference

    with serving(registry_words(folder, "127.0.0.1:5577")):
        until(["curl", "-sf", "http://127.0.0.1:5577/v2/"])
        tag = "127.0.0.1:5577/slipway/vllm-cpu:bare"
        run("docker", "tag", reference("cpu"), tag)
        said = subprocess.run(["docker", "push", tag], capture_output=True, text=True, check=True).stdout
        run("docker", "rmi", tag)
    return said.rpartition("digest: ")[2].split()[0]


def registry_words(folder: Path, address: str) -> list[str]:
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": address},
    }
    path = folder / f"registry-{address}.yml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    return ["docker-registry", "serve", str(path)]


def hub_words(hub: Wire, folder: Path) -> list[str]:
    serve = ["serve-weights", str(folder), "--host", hub.address, "--port", "8000"]
    return hub.inside(sys.executable, "-m", "invoke", *serve)


def weights(folder: Path, mib: int) -> None:
    from launch.demo.tiny_checkpoint import write_checkpoint

    folder.mkdir(parents=True)
    write_checkpoint(folder)
    with (folder / "unread.bin").open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))


@contextmanager
def serving(words: list[str]) -> Iterator[None]:
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def bare(registry: str, digest: str, hub: Wire) -> Iterator[Host]:
    """A host on its first day; its server is stopped in the end."""
    with tempfile.TemporaryDirectory() as cache, engine(registry) as socket:
        own = {
            "DOCKER_HOST": socket,
            "HF_HUB_CACHE": f"{cache}/hub",
            "XDG_CACHE_HOME": f"{cache}/other",
            "HF_ENDPOINT": f"http://{hub.address}:8000",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        host = Host(f"{registry}/slipway/vllm-cpu@{digest}", {**os.environ, **own})
        yield host
        host.call("docker", "rm", "--force", *host.call("docker", "ps", "-q").split())


def by_us(host: Host) -> dict[str, float]:
    return {"": timed(lambda: host.invoke("run", *host.wanted, "--fetch"))}


def by_hand(host: Host) -> dict[str, float]:
    """Seconds of each step, and of all."""
    line = host.invoke("plan", *host.wanted, "--format", "docker")
    words = [word for word in shlex.split(line.replace("\\\n", " ")) if word != "\n"]
    steps = {
        ": docker pull": timed(lambda: host.call("docker", "pull", "-q", host.image)),
        ": hf download": timed(
            lambda: host.call(str(Path(sys.executable).with_name("hf")), "download", MODEL)
        ),
        ": docker run to the first token": timed(lambda: served(host, words[words.index("docker") :])),
    }
    return {**steps, "": sum(steps.values())}


def served(host: Host, words: list[str]) -> None:
    """Start it and wait as one does by hand."""
    host.call(*words)
    url = f"http://127.0.0.1:{PORT}"
    until(["curl", "-sf", f"{url}/health"], seconds=300)
    ask = ["-H", "Content-Type: application/json", "-d", json.dumps(QUESTION), f"{url}/v1/chat/completions"]
    host.call("curl", "-sf", *ask)


def timed(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def report(seconds: dict[str, list[float]]) -> None:
    hand = median(seconds["by hand"])
    for name, values in seconds.items():
        print(f"{name:<42}{median(values):7.1f} s")
    print(f"invoke run --fetch takes {median(seconds['invoke run --fetch']) / hand:.2f} of the steps by hand")


if __name__ == "__main__":
    main()
