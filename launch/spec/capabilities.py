"""What an image's vLLM accepts: version, options, environment variables, parsers, GPU architectures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

TORCH_BUILDS = {"cpu": "cpu", "cuda": "cuda", "rocm": "hip"}  # the build of torch that a platform needs


@dataclass(frozen=True)
class Capabilities:
    """Facts read inside an image. An empty field was not read, so nothing is checked against it."""

    vllm_version: str = ""
    flags: frozenset[str] = frozenset()
    env: frozenset[str] = frozenset()
    tool_parsers: frozenset[str] = frozenset()
    reasoning_parsers: frozenset[str] = frozenset()
    torch_flavour: str = ""  # cpu, cuda or hip
    gpu_archs: tuple[str, ...] = ()
    vllm_commit: str = ""
    python: str = ""
    torch: str = ""
    cuda: str = ""
    hip: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Capabilities:
        """Build capabilities from JSON values; ignore unknown keys, which a later version may add."""
        values: dict[str, Any] = {key: str(facts.get(key) or "") for key in _TEXTS}
        values |= {key: frozenset(_strings(facts.get(key))) for key in _SETS}
        return cls(**values, gpu_archs=tuple(_strings(facts.get("gpu_archs"))))

    @classmethod
    def from_json(cls, text: str) -> Capabilities:
        """Read capabilities from JSON text. Raises ValueError if it is not a JSON object."""
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("not a JSON object")
        return cls.of(facts)

    def as_json(self) -> str:
        """Return one line of JSON; equal capabilities give equal text."""
        facts = asdict(self) | {key: sorted(getattr(self, key)) for key in _SETS}
        return json.dumps(facts, sort_keys=True, separators=(",", ":"))


_TEXTS = ("vllm_version", "torch_flavour", "vllm_commit", "python", "torch", "cuda", "hip")
_SETS = ("flags", "env", "tool_parsers", "reasoning_parsers")


def _strings(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple, set, frozenset, dict)) else []
