"""vLLM's own parser accepts every command that is rendered for its version, and refuses what the vocabulary refuses."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from errors import Refused
from images import vocabulary
from launch.planning.adapt import adapt
from launch.planning.matrix import rows
from launch.planning.vllm_versions import USER
from launch.recipes.repository import builtin_shapes, open_repository
from launch.spec.inputs import Image
from launch.spec.vllm_args import Draft, parse
from launch.spec.vocabulary import FOLDER, Vocabulary
from launch.spec.vocabulary import vocabulary as vocabulary_of
from tests.conftest import SHARED

if TYPE_CHECKING:
    from docker import DockerClient

VERSION = "0.32.0"
SCRIPT = Path(__file__).with_name("real_parser.py")
SAMPLE = SHARED / "vllm-recipes"
VALUES = ("abc", "1", "1.5", "-3", "true", "{}", '{"a": 1}', "128k", "25.6K", "auto", "[1]", "1e5", "nan")
# Rules between the keys of one config, which the vocabulary does not hold.
BETWEEN_KEYS = (
    "applicable when",
    "Please specify",
    "is set",
    "after validation",
    "division by zero",
    "custom op",
    "unknown quantization name",
    "Invalid fields for --lora-modules: {",
    "is only supported for",
    "'CPU', 'CUDA'",
)
Commands = list[list[str]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="class")
def image(cpu_image: str) -> str:
    return cpu_image


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    found = vocabulary_of(VERSION)
    assert found is not None
    return found


def refused_by_vllm(engine: DockerClient, image: str, commands: Commands) -> dict[int, str]:
    """Return the numbers of the commands that the parser of the image's vLLM refuses, and why."""
    container = engine.containers.create(
        image,
        entrypoint=["timeout", "300", "python3", "-c", SCRIPT.read_text()],
        command=[],
        network_mode="none",
        cap_drop=["ALL"],
    )
    try:
        container.put_archive("/tmp", archive("commands", "".join(json.dumps(c) + "\n" for c in commands)))
        container.start()
        status = container.wait()["StatusCode"]
        assert status == 0, container.logs(stdout=False, stderr=True).decode()[-2000:]
        output = container.logs(stdout=True, stderr=False).decode()
    finally:
        container.remove(force=True)
    return {int(number): why for number, why in json.loads(output.splitlines()[-1]).items()}


def archive(name: str, text: str) -> bytes:
    buffer, content = io.BytesIO(), text.encode()
    with tarfile.open(fileobj=buffer, mode="w") as files:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        files.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def rendered() -> Commands:
    """Return every command of the built-in recipes and of the sample of upstream's, each once."""
    shapes, found = builtin_shapes(), set()
    for folder in ("", *([str(SAMPLE)] if SAMPLE.is_dir() else [])):
        repository = open_repository(folder)
        for recipe in repository.read(repository.first_folder_names())[0]:
            for row in rows(repository, recipe, shapes, VERSION):
                found |= {json.dumps(argv[2:]) for argv in arguments(row) if argv}
    return [json.loads(text) for text in sorted(found)]


def arguments(row: dict[str, Any]) -> Iterator[list[str]]:
    for name in ("argv", "head_argv", "worker_argv"):
        yield row.get(name, [])


def variations(words: Vocabulary) -> Commands:
    """Return every option with values of every kind, and every key of every config with values of every type."""
    found: Commands = []
    for name in sorted(words.rows.keys() - {"--config", "--headless", "--model"}):
        option = words.option(name)
        assert option is not None
        values = [*VALUES, *option.choices[:1], *(f"{choice}x" for choice in option.choices[:1])]
        found += [["m", name], *(["m", name, value] for value in values), ["m", name, "1", "2"]]
        found += [["m", name[:-1], "1"], ["m", name.replace("-", "_").replace("__", "--"), "1"]]
        found += [["m", off] for off in option.off]
        for key in words.config(option.config) or () if not option.loads else ():
            samples: tuple[Any, ...] = (None, True, 3, 0, "abc", "3", [], {}, 0.5)
            found += [["m", name, json.dumps({key: value})] for value in samples]
            found += [["m", f"{name}.{key}", "abc"], ["m", f"{name}.{key}+", "a,b"]]
    return found


def is_accepted(argv: list[str]) -> bool:
    try:
        adapt(Draft(parse(argv, USER)), Image("slipway/vllm-cpu:tag", VERSION))
    except Refused:
        return False
    return True


def test_vllm_accepts_every_rendered_command(engine: DockerClient, cpu_image: str) -> None:
    commands = rendered()
    assert len(commands) > (900 if SAMPLE.is_dir() else 5)
    assert refused_by_vllm(engine, cpu_image, commands) == {}


def test_what_the_parser_refuses_is_refused_before_the_launch(
    engine: DockerClient, cpu_image: str, words: Vocabulary
) -> None:
    commands = variations(words)
    refused = refused_by_vllm(engine, cpu_image, commands)
    assert len(refused) > 2000
    passed = {
        json.dumps(commands[number]): why
        for number, why in refused.items()
        if is_accepted(commands[number][1:]) and not any(rule in why for rule in BETWEEN_KEYS)
    }
    assert passed == {}


def test_the_vocabulary_is_that_of_the_image(engine: DockerClient, cpu_image: str) -> None:
    stored = (FOLDER / f"{VERSION}.json").read_text()
    source = json.loads(stored)["source"]
    assert vocabulary.as_text(vocabulary.read(engine, cpu_image), source) == stored
