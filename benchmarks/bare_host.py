"""Compare `invoke run --fetch` on a host without image and weights with the same steps one after another.

    .venv/bin/python -m benchmarks.bare_host [--mbit 240] [--mib 384] [--rounds 1]

Registry and Hub are real servers behind equally slow links, the engine is a dockerd without images, and the Hugging
Face cache is empty. The single steps are `docker pull`, `hf download`, `docker run` with the plan's command, a curl
loop and one question. The weights are the tiny MiniMax-M2 and a file of `--mib` that no server reads, so that they
are as large as the image. It needs root, docker-registry, and the CPU image (`make demo` leaves it).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median

from benchmarks.by_hand import MODEL, docker_words, first_answer, timed
from benchmarks.throttled import Wire, engine, run, until, wire

ROOT = Path(__file__).parent.parent
PORT = 8577


@dataclass(frozen=True)
class Host:
    """An engine and a cache, both empty, and the servers of image and weights."""

    image: str
    env: dict[str, str]

    @property
    def wanted(self) -> list[str]:
        """The options of `invoke run` and `invoke plan`."""
        image = ("--image", self.image, "--vllm", "0.32.0")
        return ["--platform", "cpu", "--model", MODEL, *image, "--port", str(PORT)]

    def call(self, *words: str) -> str:
        """Run a command on this host and return its output. Exits if the command fails."""
        done = subprocess.run(words, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)[:300]}: {done.stderr[-1500:]}")
        return done.stdout

    def invoke(self, *words: str) -> str:
        """Run a Slipway command on this host."""
        return self.call(sys.executable, "-m", "invoke", *words)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mbit", type=int, default=240, help="rate of each link")
    options.add_argument("--mib", type=int, default=384, help="size of the weights that no server reads")
    options.add_argument("--rounds", type=int, default=1)
    given = options.parse_args()
    if missing := [tool for tool in ("docker-registry", "dockerd", "tc", "ip", "curl") if not which(tool)]:
        raise SystemExit(
            f"not installed: {', '.join(missing)} (apt-get install docker-registry docker.io iproute2 curl)"
        )
    seconds: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        digest = push(folder)
        registry, hub = (stack.enter_context(wire(number, given.mbit)) for number in (1, 2))
        stack.enter_context(serving(registry.inside(*registry_words(folder, f"{registry.address}:5000"))))
        weights(folder / "served" / MODEL, given.mib)
        stack.enter_context(serving(hub_words(hub, folder / "served")))
        until(["curl", "-sf", f"http://{registry.address}:5000/v2/"])
        until(["curl", "-sf", f"http://{hub.address}:8000/api/models/{MODEL}/revision/main"])
        for number in range(given.rounds):
            order = [("invoke run --fetch", with_slipway), ("single steps", step_by_step)]
            for name, start in order if number % 2 else reversed(order):
                with bare(f"{registry.address}:5000", digest, hub) as host:
                    for step, took in start(host).items():
                        seconds.setdefault(f"{name}{step}", []).append(took)
    report(seconds)


def push(folder: Path) -> str:
    """Push the CPU image into a registry's folder over loopback and return its digest."""
    from images.build.local_name import reference
    from images.lock.lockfile import load

    with serving(registry_words(folder, "127.0.0.1:5577")):
        until(["curl", "-sf", "http://127.0.0.1:5577/v2/"])
        tag = "127.0.0.1:5577/slipway/vllm-cpu:bare"
        run("docker", "tag", reference(load().image("cpu")), tag)
        pushed = subprocess.run(["docker", "push", tag], capture_output=True, text=True, check=True).stdout
        run("docker", "rmi", tag)
    return pushed.rpartition("digest: ")[2].split()[0]


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
    """A host without images and weights; its server is stopped at the end."""
    with tempfile.TemporaryDirectory() as cache, engine(registry) as socket:
        own = {
            "DOCKER_HOST": socket,
            "HF_HUB_CACHE": f"{cache}/hub",
            "SLIPWAY_STATE_DIR": f"{cache}/slipway",
            "HF_ENDPOINT": f"http://{hub.address}:8000",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        host = Host(f"{registry}/slipway/vllm-cpu@{digest}", {**os.environ, **own})
        yield host
        host.call("docker", "rm", "--force", *host.call("docker", "ps", "-q").split())


def with_slipway(host: Host) -> dict[str, float]:
    """Return the seconds of one command."""
    return {"": timed(lambda: host.invoke("run", *host.wanted, "--fetch"))}


def step_by_step(host: Host) -> dict[str, float]:
    """Return the seconds of each step and their sum."""
    words = docker_words(host.invoke("plan", *host.wanted, "--format", "docker"))
    steps = {
        ": docker pull": timed(lambda: host.call("docker", "pull", "-q", host.image)),
        ": hf download": timed(
            lambda: host.call(str(Path(sys.executable).with_name("hf")), "download", MODEL)
        ),
        ": docker run to the first token": timed(lambda: first_answer(lambda: host.call(*words), PORT)),
    }
    return {**steps, "": sum(steps.values())}


def report(seconds: dict[str, list[float]]) -> None:
    steps = median(seconds["single steps"])
    for name, values in seconds.items():
        print(f"{name:<42}{median(values):7.1f} s")
    print(f"invoke run --fetch takes {median(seconds['invoke run --fetch']) / steps:.2f} of the single steps")


if __name__ == "__main__":
    main()
