"""Run `vllm bench serve` in the container of a server, and read and record its result.

The exit status of vLLM is 0 even if every request failed, so the numbers of completed and failed requests count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, choice
from launch.access.profiles import HUB
from launch.data_file import load
from launch.engine.client import execute

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PRESETS = Path(__file__).with_name("presets.yaml")
_RESULT = "slipway-bench.json"
_READS = 3
_PID_FILE = "/tmp/slipway-bench.pid"

# (key of vLLM's result, label, unit)
METRICS = (
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
    """A load from the guide. `scaled` lists the options whose numbers --scale multiplies."""

    source: str
    argv: tuple[str, ...]
    scaled: tuple[str, ...]


def load_presets(path: Path = PRESETS) -> dict[str, Preset]:
    """Read the presets by name."""
    return load(path, dict[str, Preset])


def preset_command(
    name: str, model: str, scale: float = 1.0, commit: str = "", weights: str = ""
) -> list[str]:
    """Return a preset's command for a model; scaled numbers are at least 1. Raises Refused for an unknown preset.

    `vllm bench serve` has no option for a revision, so the tokenizer of the served commit is named by its folder.
    `weights` is a folder of the container that is served instead of a model of the cache.
    """
    presets = load_presets()
    if name not in presets:
        raise choice("preset", name, sorted(presets))
    argv = [word.replace("{model}", model) for word in presets[name].argv]
    for option in presets[name].scaled:
        index = argv.index(option) + 1
        argv[index] = str(max(1, round(int(argv[index]) * scale)))
    snapshot = f"{HUB}/models--{model.replace('/', '--')}/snapshots/{commit}" if commit else ""
    tokenizer = weights or snapshot
    return [*argv, "--tokenizer", tokenizer] if tokenizer else argv


def run_benchmark(
    client: DockerClient, container: Container, argv: list[str], port: int, show: Callable[[str], None]
) -> dict[str, Any]:
    """Run the command in the container and return vLLM's result. Raises Failed if not all requests succeeded."""
    save = ["--port", str(port), "--save-result", "--result-dir", "/tmp", "--result-filename", _RESULT]
    status, output = _run_attached(client, container, [*argv, *save], show)
    if status:
        raise Failed(f"vllm bench serve exited with {status}", why=output.strip()[-600:])
    return require_success(_read_result(client, container, output), output)


def _read_result(client: DockerClient, container: Container, output: str) -> dict[str, Any]:
    """Return the result that the benchmark saved. An engine may lose the output of a command that ends at once."""
    for _ in range(_READS):
        status, text = execute(client, container, ["cat", f"/tmp/{_RESULT}"])
        if status:
            raise Failed("vllm bench serve saved no result", why=output.strip()[-600:])
        if text.strip():
            return _parse_result(text)
    raise Failed("vllm bench serve saved an empty result", why=output.strip()[-600:], fix="invoke bench")


def _parse_result(text: str) -> dict[str, Any]:
    """Return the values of a result. Raises Failed if they are not those of a JSON object."""
    try:
        result = json.loads(text)
    except ValueError as error:
        raise Failed(
            "the result of vllm bench serve is not JSON", why=str(error), fix="invoke bench"
        ) from None
    if not isinstance(result, dict):
        raise Failed(
            "the result of vllm bench serve is not a JSON object", why=text[:200], fix="invoke bench"
        )
    return result


def _run_attached(
    client: DockerClient, container: Container, argv: list[str], show: Callable[[str], None]
) -> tuple[int, str]:
    """Run the command, and kill it on Ctrl-C: the engine would let it continue to load the server."""
    with_pid_file = ["sh", "-c", f'echo $$ > {_PID_FILE} && exec "$@"', "bench", *argv]
    try:
        return execute(client, container, with_pid_file, show)
    except BaseException:
        execute(client, container, ["sh", "-c", f"kill $(cat {_PID_FILE})"])
        raise


def require_success(result: dict[str, Any], output: str = "") -> dict[str, Any]:
    """Return the result. Raises Failed if a request failed, or if no request completed."""
    failed, completed = result.get("failed"), result.get("completed")
    if completed and not failed:
        return result
    what = f"{failed} of {result.get('num_prompts')} requests failed" if failed else "no request completed"
    raise Failed(what, why="\n    ".join(output.strip().splitlines()[-4:-1]), fix="invoke logs")


def save_result(result: dict[str, Any], facts: dict[str, Any], folder: Path) -> Path:
    """Write the result with the facts about the run into a folder, and return the file."""
    path = folder / f"{result['date']}-{facts['preset']}.json"
    if path.exists():  # two servers whose benchmarks ended in the same second
        path = path.with_name(f"{path.stem}-{facts['server']}.json")
    path.write_text(json.dumps({"slipway": facts, "result": result}, indent=2) + "\n")
    return path


def format_result(result: dict[str, Any]) -> list[str]:
    """Format the metrics of a result, one line each."""
    rows = ((label, result[key], unit) for key, label, unit in METRICS if result.get(key) is not None)
    return [
        f"{label + ':':<28}{value:>12{'.2f' if isinstance(value, float) else ''}} {unit}".rstrip()
        for label, value, unit in rows
    ]
