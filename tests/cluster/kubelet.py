"""A real node: the kubelet on the container engine that is here. It leaves images, cgroups and iptables alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.control_plane import ControlPlane, process

if TYPE_CHECKING:
    from docker import DockerClient

PAUSE = "slipway-test/pause:1"
# As process 1 a shell ends at once when it is asked to; `sleep` alone would be killed after the grace period.
WAITS = """ENTRYPOINT ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]"""
FIXED = (Path("/var/log/pods"), Path("/var/log/containers"))  # no flag moves them


@contextmanager
def node(plane: ControlPlane, programs: Path, engine: DockerClient, image: str) -> Iterator[None]:
    """Run the kubelet as node `localhost`; remove afterwards what it made. `image` is one with a shell."""
    made = engine.containers.create(image, entrypoint=["true"])
    made.commit("slipway-test/pause", "1", changes=[WAITS, "CMD []"])
    made.remove()
    before = {path for path in FIXED if path.exists()}
    try:
        with process(plane.folder, [str(programs / "kubelet"), *_flags(plane)], _path(plane)):
            yield
    finally:
        for container in engine.containers.list(all=True, filters={"label": "io.kubernetes.pod.namespace"}):
            container.remove(force=True)
        engine.images.remove(PAUSE, noprune=True)
        _unmount(plane.folder)
        for path in FIXED:
            if path not in before:
                shutil.rmtree(path, ignore_errors=True)


def _path(plane: ControlPlane) -> str:
    """Return the PATH of the kubelet, with a program that it forwards ports with."""
    folder = plane.folder / "path"
    folder.mkdir(exist_ok=True)
    shutil.copy2(Path(__file__).with_name("socat.py"), folder / "socat")
    (folder / "socat").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def _unmount(folder: Path) -> None:
    """Unmount the volumes of pods that the kubelet had no time to remove."""
    lines = Path("/proc/mounts").read_text().splitlines()
    for place in sorted((line.split()[1] for line in lines), reverse=True):
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", place], check=True, timeout=30)


def _flags(plane: ControlPlane) -> list[str]:
    flags = {
        "kubeconfig": plane.kubeconfig(),
        "root-dir": plane.folder / "kubelet",
        "cert-dir": plane.folder / "kubelet-pki",
        "volume-plugin-dir": plane.folder / "flex",
        "experimental-dockershim-root-directory": plane.folder / "dockershim",
        "feature-gates": "DevicePlugins=false",
        "hostname-override": "localhost",
        "address": "127.0.0.1",
        "port": 10250,
        "read-only-port": 0,
        "healthz-port": 0,
        "cgroups-per-qos": "false",
        "enforce-node-allocatable": "",
        "fail-swap-on": "false",
        "make-iptables-util-chains": "false",
        "image-gc-high-threshold": 100,
        "image-gc-low-threshold": 99,
        "eviction-hard": "",
        "pod-infra-container-image": PAUSE,
        "container-runtime": "docker",
        "anonymous-auth": "true",
        "authorization-mode": "AlwaysAllow",
        "resolv-conf": "",
    }
    return [f"--{name}={value}" for name, value in flags.items()]
