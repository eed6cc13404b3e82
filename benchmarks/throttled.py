"""Servers behind slow links, and a Docker engine without images.

Every server has its own network namespace at one end of a veth pair; a token bucket filter of the kernel limits what
it sends. It needs root.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wire:
    """A network namespace behind a slow link, and its address."""

    namespace: str
    address: str

    def inside(self, *words: str) -> list[str]:
        """Return the words that run a command in the namespace."""
        return ["ip", "netns", "exec", self.namespace, *words]


@contextmanager
def wire(number: int, mbit: int) -> Iterator[Wire]:
    """Create a link of `mbit` Mbit/s towards this host."""
    name, here, there = f"slipway{number}", f"slw{number}h", f"slw{number}n"
    host, server = f"10.213.{number}.1", f"10.213.{number}.2"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        run("ip", "addr", "add", f"{host}/24", "dev", here)
        run("ip", "link", "set", here, "up")
        run("ip", "-n", name, "addr", "add", f"{server}/24", "dev", there)
        run("ip", "-n", name, "link", "set", there, "up")
        run(*f"tc -n {name} qdisc add dev {there} root tbf rate {mbit}mbit burst 512kb latency 100ms".split())
        yield Wire(name, server)
    finally:
        run("ip", "netns", "del", name)  # removes the veth pair too


@contextmanager
def engine(registry: str) -> Iterator[str]:
    """Run a dockerd without images that trusts the registry; yield the address of its socket."""
    with tempfile.TemporaryDirectory(prefix="slipway-bare-") as folder, _bridge("slwbridge", "10.213.9.1/24"):
        socket = f"unix://{folder}/docker.sock"
        words = [
            *("dockerd", "--host", socket, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
            *("--pidfile", f"{folder}/pid", "--bridge", "slwbridge", "--iptables=false"),
            *("--insecure-registry", registry, "--log-level", "error"),
        ]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            until(["docker", "--host", socket, "info"])
            yield socket
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _bridge(name: str, address: str) -> Iterator[None]:
    run("ip", "link", "add", name, "type", "bridge")
    try:
        run("ip", "addr", "add", address, "dev", name)
        run("ip", "link", "set", name, "up")
        yield
    finally:
        run("ip", "link", "del", name)


def until(words: list[str], seconds: float = 60) -> None:
    """Wait until a command succeeds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while subprocess.run(words, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise TimeoutError(" ".join(words))
        time.sleep(0.1)


def run(*words: str) -> None:
    """Run a command. Exits if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()[-500:]}")
