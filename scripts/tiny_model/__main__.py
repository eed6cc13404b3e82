"""Train the tiny model in the CPU image and replace its files in launch/demo/model: make tiny-model."""

from __future__ import annotations

import os
from pathlib import Path

from images.build import local_name
from images.lock.lockfile import load
from launch.demo.tiny_checkpoint import FILES
from launch.engine import install
from launch.engine.client import connect

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ["nice", "-n", "15", "python", "-m", "scripts.tiny_model.train", "/model"]


def main() -> None:
    """Run the training in a container without a network, and print its output."""
    install.ensure()
    client = connect(timeout=3600)
    container = client.containers.run(
        local_name.reference(load().image("cpu")),
        TRAIN[1:],
        entrypoint=TRAIN[:1],
        environment={"HOME": "/tmp", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        volumes={str(ROOT): {"bind": "/slipway", "mode": "ro"}, str(FILES): {"bind": "/model", "mode": "rw"}},
        user=f"{os.getuid()}:{os.getgid()}",
        working_dir="/slipway",
        network_mode="none",
        detach=True,
    )
    try:
        for part in container.logs(stream=True, follow=True):
            print(part.decode(errors="replace"), end="", flush=True)
        if code := container.wait()["StatusCode"]:
            raise SystemExit(f"the training ended with {code}")
    finally:
        container.remove(force=True)


if __name__ == "__main__":
    main()
