"""The container engine: does it answer, can it build, is there room for the image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.weights.progress import gb


def reachable(facts: Facts) -> Iterator[Finding]:
    """An engine answers on its socket."""
    engine = facts.engine
    if engine.error:
        why = "images are built and servers are started by a container engine"
        yield error("engine", engine.error, why, engine.remedy or "docker info")
    else:
        name = "podman" if engine.podman else "Docker"
        yield ok("engine", f"{name} {engine.version} on {engine.url}")


def podman(facts: Facts) -> Iterator[Finding]:
    """podman's Docker socket drops NVIDIA device requests without a word; CDI names it heeds in later releases."""
    if not (facts.engine.podman and facts.platform == "cuda"):
        return
    first, gpus = thresholds().podman_with_cdi.value, facts.hardware.nvidia.gpus
    if _release(facts.engine.version) >= tuple(first) and gpus and all(gpu.cdi for gpu in gpus):
        yield ok("engine", "podman takes these GPUs by CDI name, and plans use it")
        return
    yield warning(
        "engine",
        "the socket is podman's",
        "it silently ignores device requests: the container would start without a GPU",
        f"podman {first[0]}.{first[1]} or newer with a CDI spec, Docker's own engine,"
        " or invoke plan --format quadlet",
    )


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def buildkit(facts: Facts) -> Iterator[Finding]:
    """Something that can build with BuildKit's mounts and secrets."""
    if facts.engine.builder:
        yield ok("buildkit", f"images are built with {facts.engine.builder}")
    else:
        why = "invoke build needs RUN --mount and build secrets"
        yield warning("buildkit", "no builder with BuildKit", why, "sudo apt-get install docker-buildx")


def storage(facts: Facts) -> Iterator[Finding]:
    """The storage driver copies nothing it need not."""
    driver = facts.engine.storage
    if driver in ("vfs", "devicemapper"):
        why = "every layer is copied whole: an image of 20 GB takes several times that"
        yield warning(
            "storage",
            f"storage driver {driver}",
            why,
            'set "storage-driver": "overlay2" in /etc/docker/daemon.json',
        )
    elif driver:
        yield ok("storage", f"storage driver {driver} in {facts.engine.root}")


def room(facts: Facts) -> Iterator[Finding]:
    """Space for the image where the engine keeps images."""
    engine, spare = facts.engine, thresholds().spare_disk_bytes.value
    image = engine.image
    if engine.free is None:
        return
    if image.here:
        yield ok("image", f"{image.reference} is here; {gb(engine.free)} free in {engine.root}")
    elif image.size is None:
        yield info(
            "image",
            f"{image.reference} is not here; {gb(engine.free)} free in {engine.root}",
            remedy=f"invoke build --platform {facts.platform}",
        )
    elif engine.free < image.size + spare:
        seen = f"{gb(engine.free)} free in {engine.root}, the image takes about {gb(image.size)}"
        yield error(
            "image", seen, "the build would stop half way", "docker system df, then docker image prune"
        )
    else:
        seen = f"{image.reference} is not here; {gb(engine.free)} free for its {gb(image.size)}"
        yield info("image", seen, remedy=f"invoke build --platform {facts.platform}")


def seccomp(facts: Facts) -> Iterator[Finding]:
    """System calls are filtered."""
    if not facts.engine.error and not facts.engine.seccomp:
        why = "containers may make every system call"
        yield warning(
            "seccomp", "the engine runs without seccomp", why, "use a kernel with CONFIG_SECCOMP_FILTER"
        )


def open_files(facts: Facts) -> Iterator[Finding]:
    """Enough file descriptors for the API server's connections."""
    limit, wanted = facts.engine.open_files, thresholds().open_files.value
    if limit is not None and limit < wanted:
        why = f"the server wants {wanted}; with fewer, many clients at once fail with 'Too many open files'"
        yield warning(
            "ulimits",
            f"containers get at most {limit} open files",
            why,
            "sudo systemctl edit docker  # [Service] LimitNOFILE=1048576",
        )
    elif limit is not None:
        yield ok("ulimits", f"containers get up to {limit} open files")


def port(facts: Facts) -> Iterator[Finding]:
    """The port to serve on is free, or known to be ours to ask about."""
    wanted = facts.network.port
    holder = next((name for number, name in facts.engine.ports if number == wanted), "")
    if not facts.network.taken:
        yield ok("port", f"127.0.0.1:{wanted} is free")
        return
    by = f"the container {holder}" if holder else "another program"
    look = f"invoke stop --name {holder}" if holder.startswith("slipway") else f"ss -ltnp 'sport = :{wanted}'"
    yield warning(
        "port",
        f"port {wanted} is held by {by}",
        "the server could not listen there",
        f"invoke run --port {wanted + 1}, or: {look}",
    )


CHECKS = (reachable, podman, buildkit, storage, room, seccomp, open_files, port)
