"""The encoder of images and of sound of a multimodal model: its weights and heads, from config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.spec.layers import LARGEST

CONFIGS = ("vision_config", "vit_config", "audio_config")
DEPTH = ("depth", "num_hidden_layers", "layers", "vt_num_hidden_layers", "encoder_layers")
WIDTH = ("hidden_size", "embed_dim", "width", "vt_hidden_size", "d_model")
HEADS = ("num_heads", "num_attention_heads", "heads", "vt_num_attention_heads", "encoder_attention_heads")
INNER = ("intermediate_size", "mlp_dim", "vt_intermediate_size", "encoder_ffn_dim")
OUTPUT = ("out_hidden_size", "output_dim", "text_hidden_size", "projection_dim")
RATIO = 4  # of the MLP's width to the encoder's, if the config has only the latter


@dataclass(frozen=True)
class VisionTower:
    """Elements of all encoders; attention heads of the one for images, and its layers whose output is kept. 0: none."""

    weights: int = 0
    heads: int = 0
    outputs: int = 0


def vision_tower(config: Mapping[str, Any]) -> VisionTower:
    """Return the encoders of a config.json."""
    towers = [config[key] for key in CONFIGS if isinstance(config.get(key), Mapping)]
    if not towers:
        return VisionTower()
    return VisionTower(sum(map(_weights, towers)), _first(towers[0], HEADS), _outputs(towers[0]))


def _outputs(tower: Mapping[str, Any]) -> int:
    """Return the number of layers whose output the language model gets: the last one, and those of a deep stack."""
    deeper = tower.get("deepstack_visual_indexes")
    return 1 + (len(deeper) if isinstance(deeper, list) else 0)


def _weights(tower: Mapping[str, Any]) -> int:
    """Return the elements of one encoder: attention, MLP, and a projection to the language model."""
    depth, width = _first(tower, DEPTH), _first(tower, WIDTH)
    inner = _first(tower, INNER) or RATIO * width
    matrices = 3 if "silu" in f"{tower.get('hidden_act')}".lower() else 2
    merged = width * _first(tower, ("spatial_merge_size",), 1) ** 2
    return depth * (4 * width * width + matrices * width * inner) + merged * (
        merged + _first(tower, OUTPUT, width)
    )


def _first(config: Mapping[str, Any], names: tuple[str, ...], default: int = 0) -> int:
    values = (config.get(name) for name in names)
    return next((v for v in values if type(v) is int and 0 < v <= LARGEST), default)
