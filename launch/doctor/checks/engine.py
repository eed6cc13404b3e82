"""Check the container engine: that it answers, can build, and has disk space for the image."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.engine.podman_create import socket_takes_cdi
from launch.spec.plan import AUTO_PORT
from launch.weights.progress import gb


def reachable(facts: Facts) -> Iterator[Finding]:
    """Check that an engine answers on its socket."""
    engine = facts.engine
    if engine.error:
        why = "a container engine builds images and starts servers"
        yield error("engine", engine.error, why, engine.fix or "docker info")
    else:
        name = "podman" if engine.podman else "Docker"
        yield ok("engine", f"{name} {engine.version} on {engine.url}")


def podman(facts: Facts) -> Iterator[Finding]:
    """Check that podman will get the CDI names of NVIDIA GPUs: from its Docker socket, or from its own client."""
    engine, gpus = facts.engine, facts.hardware.nvidia.gpus
    if not (engine.podman and facts.platform == "cuda"):
        return
    by_client = not socket_takes_cdi(engine.version)
    if gpus and all(gpu.cdi for gpu in gpus) and (engine.podman_client or not by_client):
        how = f"through its own client, {engine.podman_client}" if by_client else "on its Docker socket"
        yield ok("engine", f"podman takes the CDI names of these GPUs {how}")
        return
    yield warning(
        "engine",
        "the socket belongs to podman",
        "it ignores device requests without an error: the container would start without a GPU",
        "use a CDI spec with podman 5.4 or newer, or with podman's own client on PATH; or use Docker",
    )


def buildkit(facts: Facts) -> Iterator[Finding]:
    """Check for a builder with BuildKit's mounts and secrets."""
    if facts.engine.builder:
        yield ok("buildkit", f"images are built with {facts.engine.builder}")
    else:
        why = "invoke build needs RUN --mount and build secrets"
        yield warning("buildkit", "no builder with BuildKit", why, "sudo apt-get install docker-buildx")


def storage(facts: Facts) -> Iterator[Finding]:
    """Check that the storage driver does not copy layers."""
    driver = facts.engine.storage
    if driver in ("vfs", "devicemapper"):
        yield warning(
            "storage",
            f"storage driver {driver}",
            "it copies every layer: an image of 20 GB takes several times as much",
            'set "storage-driver": "overlay2" in /etc/docker/daemon.json',
        )
    elif driver:
        yield ok("storage", f"storage driver {driver} in {facts.engine.root}")


def disk_space(facts: Facts) -> Iterator[Finding]:
    """Check the disk space for the image in the storage of the engine."""
    engine, spare = facts.engine, thresholds().spare_disk_bytes.value
    image = engine.image
    if engine.free is None:
        return
    free, build = f"{gb(engine.free)} free in {engine.root}", f"invoke build --platform {facts.platform}"
    if image.present:
        yield ok("image", f"{image.reference} is present; {free}")
    elif image.size is None:
        yield info("image", f"{image.reference} is not present; {free}", fix=build)
    elif engine.free < image.size + spare:
        what = f"{free}, the image takes about {gb(image.size)}"
        yield error("image", what, "the build would stop half way", "docker image prune (docker system df)")
    else:
        yield info("image", f"{image.reference} is not present; {free} for its {gb(image.size)}", fix=build)


def seccomp(facts: Facts) -> Iterator[Finding]:
    """Check that the engine filters system calls."""
    if not facts.engine.error and not facts.engine.seccomp:
        yield warning(
            "seccomp",
            "the engine runs without seccomp",
            "containers can make every system call",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )


def open_files(facts: Facts) -> Iterator[Finding]:
    """Check the limit of file descriptors, which the API server needs for its connections."""
    limit, required = facts.engine.open_files, thresholds().open_files.value
    if limit is not None and limit < required:
        yield warning(
            "ulimits",
            f"containers get at most {limit} open files",
            f"the server needs {required}; below, many concurrent clients fail with 'Too many open files'",
            "sudo systemctl edit docker  # [Service] LimitNOFILE=1048576",
        )
    elif limit is not None:
        yield ok("ulimits", f"containers get up to {limit} open files")


def port(facts: Facts) -> Iterator[Finding]:
    """Check that the port to serve on is free; if not, name the container that uses it."""
    number = facts.network.port
    if number == AUTO_PORT:
        yield ok("port", "chosen at the start: the first free one")
        return
    if not facts.network.port_in_use:
        yield ok("port", f"127.0.0.1:{number} is free")
        return
    container = next((name for used, name in facts.engine.ports if used == number), "")
    user = f"the container {container}" if container else "another program"
    if container.startswith("slipway"):
        yield info(
            "port", f"port {number} is in use by {user}", fix="invoke run --port auto for another server"
        )
        return
    release = f"ss -ltnp 'sport = :{number}'"
    yield warning(
        "port",
        f"port {number} is in use by {user}",
        "the server could not listen there",
        f"invoke run --port auto, or: {release}",
    )


CHECKS = (reachable, podman, buildkit, storage, disk_space, seccomp, open_files, port)
