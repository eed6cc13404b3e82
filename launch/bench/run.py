"""`vllm bench serve` inside the server's own container, its result read and recorded.

The exit status says nothing: it is 0 although every request failed. What counts is `completed` and `failed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed, choice
from launch.data_file import load
from launch.engine.client import execute

PRESETS = Path(__file__).with_name("presets.yaml")
_RESULT = "slipway-bench.json"
_PID = "/tmp/slipway-bench.pid"

# (key of vLLM's result, what people call it, unit)
FIGURES = (
    ("completed", "successful requests", ""),
    ("failed", "failed requests", ""),
    ("duration", "duration", "s"),
    ("request_throughput", "request throughput", "req/s"),
    ("output_throughput", "output token throughput", "tok/s"),
    ("total_token_throughput", "total token throughput", "tok/s"),
    ("mean_ttft_ms", "mean TTFT", "ms"),
    ("p99_ttft_ms", "P99 TTFT", "ms"),
    ("mean_tpot_ms", "mean TPOT", "ms"),
    ("mean_itl_ms", "mean ITL", "ms"),
)


@dataclass(frozen=True)
class Preset:
    """A load, as the guide spells it. `scaled` names the flags that --scale shrinks."""

    source: str
    argv: tuple[str, ...]
    scaled: tuple[str, ...]


def presets(path: Path = PRESETS) -> dict[str, Preset]:
    """All presets by name."""
    return load(path, dict[str, Preset])


def command(name: str, model: str, scale: float = 1.0) -> list[str]:
    """A preset's argv for a model, each scaled number at least 1. Raises Refused for an unknown preset."""
    known = presets()
    if name not in known:
        raise choice("preset", name, sorted(known))
    preset = known[name]
    words = [word.replace("{model}", model) for word in preset.argv]
    for flag in preset.scaled:
        at = words.index(flag) + 1
        words[at] = str(max(1, round(int(words[at]) * scale)))
    return words


def run(
    client: Any, container: Any, words: list[str], port: int, show: Callable[[str], None]
) -> dict[str, Any]:
    """Run it in the container; vLLM's result. Raises Failed if a request failed or none was made."""
    saved = ["--port", str(port), "--save-result", "--result-dir", "/tmp", "--result-filename", _RESULT]
    status, output = _attended(client, container, [*words, *saved], show)
    if status:
        raise Failed(f"vllm bench serve exited with {status}", why=output.strip()[-600:])
    status, text = execute(client, container, ["cat", f"/tmp/{_RESULT}"])
    if status:
        raise Failed("vllm bench serve left no result", why=output.strip()[-600:])
    return judged(json.loads(text), output)


def _attended(client: Any, container: Any, words: list[str], show: Callable[[str], None]) -> tuple[int, str]:
    """Run it, and end it with us: the engine would let it load the server on to its own end."""
    remembered = ["sh", "-c", f'echo $$ > {_PID} && exec "$@"', "bench", *words]
    try:
        return execute(client, container, remembered, show)
    except BaseException:
        execute(client, container, ["sh", "-c", f"kill $(cat {_PID})"])
        raise


def judged(result: dict[str, Any], output: str = "") -> dict[str, Any]:
    """The result, if every request in it succeeded."""
    if result.get("failed") or not result.get("completed"):
        tail = "\n    ".join(output.strip().splitlines()[-4:-1])
        raise Failed(
            f"{result.get('failed')} of {result.get('num_prompts')} requests failed",
            why=tail,
            fix="invoke logs shows what the server said",
        )
    return result


def record(result: dict[str, Any], facts: dict[str, Any], folder: Path) -> Path:
    """Write the result and the facts about it into `folder`; return the file."""
    path = folder / f"{result['date']}-{facts['preset']}.json"
    path.write_text(json.dumps({"slipway": facts, "result": result}, indent=2) + "\n")
    return path


def table(result: dict[str, Any]) -> list[str]:
    """The figures as lines for a person."""
    return [
        f"{label + ':':<28}{result[key]:>12.2f} {unit}".rstrip()
        if isinstance(result[key], float)
        else f"{label + ':':<28}{result[key]:>12} {unit}".rstrip()
        for key, label, unit in FIGURES
        if result.get(key) is not None
    ]
