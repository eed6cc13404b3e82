"""Describe the server that is measured, from its container: labels, command, limits and log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from launch.allocation.holders import GpuSet
from launch.bench.record import Container as Limits
from launch.bench.record import Server
from launch.engine import images
from launch.engine.log_stream import split_lines
from launch.hardware.types import Gpu
from launch.recipes.repository import BUILTIN, UnknownModel, open_repository
from launch.recipes.schema import Recipe
from launch.serving.phases import StartupProgress, load_phases
from launch.spec.vllm_args import Draft, parse

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

# Options of vLLM, and names of variables, that hold a secret; TOKENIZERS_PARALLELISM does not.
_SECRET_OPTION = re.compile(r"--(api-key|hf-token|.*password|.*secret)")
_SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:keys?|tokens?|secrets?|pass(?:word|wd)?|credentials?)(?:_|$)")
_LOGIN = re.compile(r"://[^/@]+@")
_MOST_LOG_LINES = 20_000  # in which a start ends
_LABELS = {
    "model": "model",
    "weights_commit": "commit",
    "strategy": "strategy",
    "image": "image",
    "image_name": "image_name",
    "image_id": "image_id",
    "image_digest": "image_digest",
    "channel": "channel",
    "vllm": "vllm",
    "vllm_commit": "vllm_commit",
    "plan": "plan",
}
_SIZES = {
    "tp": "--tensor-parallel-size",
    "pp": "--pipeline-parallel-size",
    "dp": "--data-parallel-size",
}


def start_id(container: Container) -> str:
    """Return what changes with every start of a container: its id, the time of the start and the restarts."""
    container.reload()
    state = container.attrs["State"]
    return f"{container.short_id}@{state.get('StartedAt', '')}#{container.attrs.get('RestartCount', 0)}"


def describe(client: DockerClient, container: Container, started: str) -> Server:
    """Return the server. `started` is its start_id."""
    labels, attributes = container.labels, container.attrs
    argv = (str(attributes.get("Path") or ""), *map(str, attributes.get("Args") or ()))
    progress = _start(container)
    known: dict[str, Any] = {field: labels.get(f"slipway.{label}", "") for field, label in _LABELS.items()}
    return Server(
        name=str(container.name),
        start_id=started,
        recipe=recipe_hash(labels.get("slipway.model", "")),
        layout=layout_of(argv),
        argv=without_secrets(argv),
        env=environment(attributes["Config"].get("Env") or (), _image_env(client, container)),
        container=limits_of(attributes["HostConfig"], labels.get("slipway.gpus", "")),
        kv_cache_tokens=progress.kv_tokens,
        start_seconds=progress.seconds,
        **known,
    )


def layout_of(argv: tuple[str, ...]) -> dict[str, int]:
    """Return the number of ranks of each kind; `ep` is the number of expert shards."""
    draft = Draft(parse(argv))
    sizes = {name: draft.number(flag) or 1 for name, flag in _SIZES.items()}
    return {**sizes, "ep": sizes["tp"] * sizes["dp"] if draft.get("--enable-expert-parallel") else 1}


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command in which the values of options with secrets are replaced."""
    return tuple(
        "***"
        if _SECRET_OPTION.fullmatch(before)
        else re.sub(rf"^({_SECRET_OPTION.pattern})=.*", r"\1=***", word)
        for before, word in zip(("", *argv), argv, strict=False)
    )


def environment(all_variables: Iterable[str], of_image: Iterable[str]) -> dict[str, str]:
    """Return the variables that the container has in addition to its image, without secrets."""
    inherited = set(of_image)
    own = (text for text in all_variables if text not in inherited)
    pairs = (text.partition("=")[::2] for text in own)
    return {
        name: value
        for name, value in sorted(pairs)
        if not _SECRET_NAME.search(name) and not _LOGIN.search(value)
    }


def _image_env(client: DockerClient, container: Container) -> list[str]:
    image = images.find(client, str(container.attrs.get("Image") or ""))
    return list(image.attrs["Config"].get("Env") or ()) if image else []


def limits_of(host_config: Mapping[str, Any], gpus: str) -> Limits:
    """Return the limits of a container from its HostConfig."""
    cpus = (host_config.get("NanoCpus") or 0) / 1e9
    if not cpus and (quota := host_config.get("CpuQuota") or 0) > 0:
        cpus = quota / (host_config.get("CpuPeriod") or 100_000)
    return Limits(
        memory_bytes=max(0, host_config.get("Memory") or 0),
        cpus=cpus,
        cpuset=host_config.get("CpusetCpus") or "",
        shm_bytes=host_config.get("ShmSize") or 0,
        pids=max(0, host_config.get("PidsLimit") or 0),
        gpus=tuple(filter(None, gpus.split(","))),
    )


def gpus_of(container: Container, gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Return the GPUs of this host that a server uses."""
    own = GpuSet.of(filter(None, container.labels.get("slipway.gpus", "").split(",")))
    return tuple(gpu for gpu in gpus if own.includes(gpu))


def recipe_of(model: str) -> Recipe | None:
    """Return the built-in recipe of a model."""
    try:
        return open_repository().recipe(model) if model else None
    except UnknownModel:
        return None


def recipe_hash(model: str) -> str:
    """Return the SHA-256 of the built-in recipe of a model; "" if there is none."""
    recipe = recipe_of(model)
    return hashlib.sha256((BUILTIN / recipe.file).read_bytes()).hexdigest() if recipe else ""


def _start(container: Container) -> StartupProgress:
    """Return the phases of the newest start and the KV cache, from the log; empty if the log was rotated."""
    phases = load_phases()
    progress = StartupProgress(phases, _started(container).timestamp())
    lines = container.logs(stream=True, follow=False, timestamps=True, since=int(progress.phase_start))
    for line in islice(split_lines(lines), _MOST_LOG_LINES):
        stamp, _, text = line.partition(" ")
        with suppress(ValueError):
            progress.read(text, _time(stamp).timestamp())
        if progress.in_last_phase:
            return progress
    return StartupProgress(phases, 0)


def _started(container: Container) -> datetime:
    return _time(container.attrs["State"]["StartedAt"])


def _time(stamp: str) -> datetime:
    """Return the time that an engine writes, which may have nanoseconds. Raises ValueError."""
    seconds, _, fraction = stamp.partition(".")
    digits = re.match(r"[0-9]*", fraction)
    micro = (digits[0] if digits else "")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{seconds.removesuffix('Z')[:19]}.{micro}+00:00")
