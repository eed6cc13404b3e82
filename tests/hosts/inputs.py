"""What a host downloads: stand-ins for upstream's images in a registry, and MiniMax-M2 with tiny weights on a Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from images.lock.lockfile import LOCK, load
from launch.demo.tiny_checkpoint import write_checkpoint
from launch.recipes.repository import builtin_shapes
from tests.images import stand_in
from tests.registry.serving import Running

if TYPE_CHECKING:
    from docker import DockerClient

MODEL = "MiniMaxAI/MiniMax-M2"
REGISTRY_PORT, HUB_PORT = 5000, 8090
REPOSITORY = "stand-in/vllm-{platform}"


@dataclass(frozen=True)
class Downloads:
    """The folder of a registry, that of a Hub, and a lock for each platform which pins what is in the registry."""

    registry: Path
    hub: Path
    locks: dict[str, Path]


def prepare(client: DockerClient, registry: Running, folder: Path) -> Downloads:
    """Push a stand-in base for each GPU platform to a registry, and write the locks and the model."""
    locks = {}
    for platform in ("rocm", "cuda"):
        locks[platform] = folder / f"{platform}.lock.yaml"
        locks[platform].write_text(lock(platform, push_base(client, registry, platform)))
    write_model(folder / "hub" / MODEL)
    return Downloads(registry.folder / "data", folder / "hub", locks)


def push_base(client: DockerClient, registry: Running, platform: str) -> str:
    """Build and push the stand-in for upstream's image of a platform; return its digest. The engine keeps no copy."""
    tag = stand_in.build(client, load().image(platform))
    remote = f"{registry.host}/{REPOSITORY.format(platform=platform)}"
    client.images.get(tag).tag(remote, "1")
    try:
        records = list(client.images.push(remote, "1", stream=True, decode=True))
        return next(str(record["aux"]["Digest"]) for record in records if "aux" in record)
    finally:
        client.images.remove(f"{remote}:1")
        client.images.remove(tag)


def lock(platform: str, digest: str) -> str:
    """Return the default channel of the platform in Slipway's own lock, with a stand-in as its base."""
    channel, pins = next(iter(yaml.safe_load(LOCK.read_text())["platforms"][platform].items()))
    base = {
        "repository": f"127.0.0.1:{REGISTRY_PORT}/{REPOSITORY.format(platform=platform)}",
        "digest": digest,
        "source": "a stand-in for upstream's image (tests/images/stand_in.py)",
    }
    return yaml.safe_dump({"schema": 2, "platforms": {platform: {channel: {**pins, "base": base}}}})


def write_model(folder: Path) -> None:
    """Write a model with the config of MiniMax-M2 as its recipe has it, and tiny weights that do not fit it."""
    write_checkpoint(folder)
    shape = builtin_shapes()[MODEL]
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.experts_per_token,
        "intermediate_size": shape.expert_intermediate,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
