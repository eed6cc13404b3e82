"""Start container engines on a simulated host, as a distribution's service does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.conftest import absent
from tests.hosts.gpus import cdi_spec
from tests.hosts.inputs import REGISTRY_PORT
from tests.hosts.simulated_host import SYSTEM_PATH, SimulatedHost

# What podman needs on a host without systemd and with low limits.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "{runtime}"
events_logger = "file"
"""
PLAIN_HTTP = f'[[registry]]\nlocation = "127.0.0.1:{REGISTRY_PORT}"\ninsecure = true\n'
HOOK = "/run/nvidia/nvidia-container-runtime-hook"


def start_docker(host: SimulatedHost) -> None:
    """Start Docker."""
    if not shutil.which("dockerd", path=SYSTEM_PATH):
        absent("dockerd is not installed: apt-get install docker.io")
    host.write("/etc/docker/daemon.json", "{}")
    host.socket = "run/docker.sock"
    host.daemon("dockerd", "dockerd", listens=host.socket)


def start_docker_with_toolkit(host: SimulatedHost) -> None:
    """Start Docker with the stand-in for the container toolkit's hook on its PATH."""
    script = Path(__file__).with_name("toolkit_hook.py")
    host.write(HOOK, f"#!/bin/sh\nexec {sys.executable} {script}\n", mode=0o755)
    host.env["PATH"] = f"{Path(HOOK).parent}:{host.env['PATH']}"
    start_docker(host)


def start_podman(host: SimulatedHost) -> None:
    """Start podman's service, with a CDI spec of the eight H200."""
    if not shutil.which("podman", path=SYSTEM_PATH):
        absent("podman is not installed: apt-get install podman")
    runtime = "runc" if shutil.which("runc", path=SYSTEM_PATH) else "crun"
    host.write("/etc/containers/containers.conf", CONTAINERS.format(runtime=runtime))
    host.write("/etc/containers/registries.conf.d/stand-ins.conf", PLAIN_HTTP)
    host.write("/etc/cdi/nvidia.yaml", cdi_spec())
    host.socket = "run/podman/podman.sock"
    (host.root / host.socket).parent.mkdir(parents=True)
    service = ("podman", "system", "service", "--time", "0", f"unix:///{host.socket}")
    host.daemon("podman", *service, listens=host.socket)
