"""`invoke accept` on real vLLM: the learned model passes, and each planted fault fails the item that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import serve_folder
from tests.acceptance.proxy import dropping, greedy, proxy, rewriting
from tests.conftest import MODEL
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

OTHER = "slipway-test-other"  # a second server, whose weights or options have a fault


def accept(*words: str) -> dict[str, dict[str, Any]]:
    """Run `invoke accept`; return its items by name."""
    finished = invoke("accept", *words, "--format", "json")
    found = json.loads(finished.out or "null")
    assert found, finished.err
    assert finished.code == (1 if found["acceptance"]["failed"] else 0)
    return {item["name"]: item for item in found["acceptance"]["items"]}


def outcome(items: dict[str, dict[str, Any]], result: str) -> dict[str, str]:
    """Return the evidence of the items with a result."""
    return {name: item["evidence"] for name, item in items.items() if item["outcome"] == result}


def test_the_learned_model_passes_every_item_that_applies(server: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "accept.json"
    items = accept(server["name"], "--output", str(report))
    assert outcome(items, "fail") == {}
    assert set(outcome(items, "skipped")) == {"responses", "api-key"}
    written = json.loads(report.read_text())
    assert written["slipway"]["model"] == MODEL
    assert written["slipway"]["image_id"].startswith("sha256:")
    assert len(written["slipway"]["commit"]) == 40
    assert written["acceptance"]["metrics"]["tool_calls_schema_accuracy"] == 1


@pytest.mark.parametrize(
    ("fault", "item"),
    [
        ({"keep": dropping}, "stream"),
        ({"keep": rewriting}, "tokens"),
        ({"change": greedy}, "sampling"),
    ],
    ids=["drops events", "rewrites content", "ignores the temperature"],
)
def test_a_proxy_with_a_fault_fails(server: dict[str, Any], fault: dict[str, Any], item: str) -> None:
    with proxy([f"http://127.0.0.1:{server['port']}"], **fault) as url:
        items = accept("--url", url, "--only", item, "--only", "facts")
    assert set(outcome(items, "fail")) == {item}


def test_an_address_that_is_not_the_named_model_is_refused(server: dict[str, Any]) -> None:
    finished = invoke(
        "accept", "--url", f"http://127.0.0.1:{server['port']}", "--model", "slipway/MiniMax-M2"
    )
    assert finished.code == 2
    assert MODEL in finished.err


@contextmanager
def serving(folder: Path, *words: str, damage: Callable[[Path], None] | None = None) -> Iterator[str]:
    """Serve the tiny model with other options or from damaged files; yield the address."""
    with ExitStack() as stack:
        settings = {"HF_HUB_CACHE": str(folder / "cache")}
        model = folder / "hub" / MODEL
        write_checkpoint(model)
        if damage:
            damage(model)
        hub = stack.enter_context(serve_folder(folder / "hub"))
        invoke("fetch", "--model", MODEL, HF_ENDPOINT=hub.url, **settings).ok()
        port = free_port()
        stack.callback(invoke, "stop", "--name", OTHER)
        plan = [*WANTED[:-1], OTHER, *words, "--port", port]
        invoke("run", *plan, "--replace", **settings).ok()
        yield f"http://127.0.0.1:{port}"


def shuffle(model: Path, file: str = "model-*.safetensors") -> None:
    """Reverse the values of the tensors in some files; their headers stay."""
    for shard in model.glob(file):
        data = shard.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        words = [data[i : i + 2] for i in range(start, len(data), 2)]
        shard.write_bytes(data[:start] + b"".join(reversed(words)))


def one_shard(model: Path) -> None:
    """Damage one of the three shards."""
    shuffle(model, "model-00002-*.safetensors")


def template_without(part: str) -> Callable[[Path], None]:
    """Return what removes a part of the chat template."""

    def damage(model: Path) -> None:
        template = model / "chat_template.jinja"
        text = template.read_text()
        assert part in text
        template.write_text(text.replace(part, ""))

    return damage


SLOW = pytest.mark.slow
FAULTS = [
    pytest.param((), one_shard, ["facts", "text"], id="one damaged shard"),
    pytest.param(
        ("--set", "--tool-call-parser=hermes"), None, ["tool-trigger"], id="wrong tool parser", marks=SLOW
    ),
    pytest.param((), shuffle, ["facts", "text"], id="random weights", marks=SLOW),
    pytest.param(
        ("--set", "--reasoning-parser=granite"), None, ["reasoning"], id="wrong reasoning parser", marks=SLOW
    ),
    pytest.param(
        (),
        template_without("{{ '<tool>' ~ (tool.function | tojson) ~ '</tool>\\n' }}"),
        ["tool-trigger"],
        id="template without tools",
        marks=SLOW,
    ),
    pytest.param(
        (),
        template_without("{{ '<think>\\n' ~ thought.strip('\\n') ~ '\\n</think>\\n\\n' }}"),
        ["thinking"],
        id="template without thoughts",
        marks=SLOW,
    ),
    pytest.param(
        ("--set", "--generation-config=vllm"), None, ["sampling"], id="no sampling defaults", marks=SLOW
    ),
]


@pytest.mark.parametrize(("words", "damage", "items"), FAULTS)
def test_a_fault_of_the_server_fails_its_item(
    words: tuple[str, ...],
    damage: Callable[[Path], None] | None,
    items: list[str],
    cpu_image: str,
    tmp_path: Path,
) -> None:
    with serving(tmp_path, *words, damage=damage):
        found = accept(OTHER, *(word for item in items for word in ("--only", item)))
    assert set(outcome(found, "fail")) == set(items)


@SLOW
def test_replicas_with_different_weights_fail(server: dict[str, Any], tmp_path: Path) -> None:
    with (
        serving(tmp_path, damage=one_shard) as other,
        proxy([f"http://127.0.0.1:{server['port']}", other]) as url,
    ):
        found = accept("--url", url, "--only", "replicas")
    assert set(outcome(found, "fail")) == {"replicas"}


@SLOW
def test_the_responses_api_passes_with_its_own_parser(cpu_image: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--responses-api") as url:
        found = accept("--url", url, "--only", "responses", "--only", "reasoning", "--only", "thinking")
    assert outcome(found, "pass").keys() == {"responses", "reasoning", "thinking"}


@SLOW
def test_the_api_key_of_an_open_port_is_required(cpu_image: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--listen", "0.0.0.0"):
        found = accept(OTHER, "--only", "api-key")
    assert "/metrics" in outcome(found, "pass")["api-key"]
