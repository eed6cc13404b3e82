"""`invoke pin --check` with a real registry, a wheel index and a package index, all on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from images.lock.lockfile import load
from tests.invocation import Finished, invoke
from tests.registry.pushed import LAYER, push, push_list
from tests.registry.serving import Running
from tests.registry.wheels import publish, served, wheel

COMMIT = "a" * 40
VERSION = "0.33.1.dev5+gaaaaaaaaa"
TAG = "cp38-abi3-manylinux_2_35_x86_64"
NIGHTLY = ("--platform", "cuda", "--channel", "nightly")
WHEEL = ("--platform", "cuda", "--channel", "wheel")
PLAIN = {"PIP_CONFIG_FILE": os.devnull, "UV_INDEX": "", "UV_FIND_LINKS": ""}
Pin = Callable[..., Finished]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The folder of vLLM's wheel index, with one commit."""
    root = tmp_path / "index"
    publish(root, COMMIT, wheel(root / COMMIT, "vllm", VERSION, "tinydep==1.0", TAG), VERSION)
    return root


def offer(root: Path, version: str, needs: str = "") -> None:
    """Let the package index offer one wheel of the package that vLLM needs, and no other."""
    folder = root / "simple" / "tinydep"
    file = wheel(folder, "tinydep", version, needs)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{file.name}#sha256={sha256}">{file.name}</a>')


@pytest.fixture
def pin(registry: Running, lock_file: Path, index: Path) -> Iterator[Pin]:
    """Run `invoke pin` on a lock whose inputs all exist."""
    push(registry.client(), "vllm/vllm-openai", "nightly")
    push(registry.client(), "library/python", "3.12-slim")
    offer(index, "1.0")
    with served(index) as url:

        def run(*options: str, **env: str) -> Finished:
            env = {"UV_DEFAULT_INDEX": f"{url}/simple", **PLAIN, **env}
            return invoke("pin", "--lock", str(lock_file), "--wheels", url, *options, **env)

        run(*NIGHTLY).ok()
        run(*WHEEL, "--commit", COMMIT).ok()
        yield run


def inputs(done: Finished) -> list[dict[str, Any]]:
    return list(json.loads(done.out)["inputs"])


def states(done: Finished) -> dict[str, str]:
    return {row["key"].removeprefix("platforms.cuda."): row["state"] for row in inputs(done)}


def row(done: Finished, key: str) -> dict[str, Any]:
    return next(row for row in inputs(done) if row["key"] == f"platforms.cuda.{key}")


def delete_upstream(registry: Running, repository: str) -> None:
    shutil.rmtree(registry.folder / "data/docker/registry/v2/repositories" / repository)


def test_check_finds_every_input(pin: Pin) -> None:
    done = pin("--check", "--format", "json")
    assert done.code == 0
    assert states(done) == {
        "nightly.base": "present",
        "wheel.base": "present",
        "wheel.vllm": "present",
        "wheel.python.requirements": "present",
    }


def test_check_writes_nothing(pin: Pin, lock_file: Path) -> None:
    before = lock_file.read_bytes(), lock_file.stat().st_mtime_ns
    pin("--check").ok()
    assert (lock_file.read_bytes(), lock_file.stat().st_mtime_ns) == before


def test_check_reports_a_deleted_nightly_with_the_commands_that_help(registry: Running, pin: Pin) -> None:
    delete_upstream(registry, "vllm")
    done = pin("--check", "--format", "json")
    assert done.code == 1
    gone = row(done, "nightly.base")
    assert gone["state"] == "gone"
    assert "invoke pin --platform cuda --channel nightly --nightly --mirror REGISTRY" in gone["fix"]
    assert "--channel wheel" in gone["fix"]
    assert "1 of 4 pinned inputs no longer exist" in done.err
    assert "platforms.cuda.nightly.base" in done.err


def test_check_in_text_names_each_input_and_its_state(registry: Running, pin: Pin, lock_file: Path) -> None:
    delete_upstream(registry, "library")
    done = pin("--check", *WHEEL)
    assert done.code == 1
    lines = {line.split()[1]: line.split()[0] for line in done.out.splitlines()[1:]}
    assert lines["platforms.cuda.wheel.base"] == "gone"
    assert lines["platforms.cuda.wheel.vllm"] == "present"
    assert "platforms.cuda.nightly.base" not in lines


def test_a_mirror_is_enough(registry: Running, pin: Pin, index: Path) -> None:
    pin("--mirror", f"{registry.host}/mine").ok()
    delete_upstream(registry, "vllm")
    delete_upstream(registry, "library")
    shutil.rmtree(index / COMMIT)
    done = pin("--check", "--format", "json")
    assert done.code == 0
    assert set(states(done).values()) == {"present"}
    assert row(done, "nightly.base")["input"].startswith(f"{registry.host}/mine/vllm/vllm-openai@")


def test_a_lost_mirror_is_mentioned_while_upstream_has_the_input(registry: Running, pin: Pin) -> None:
    pin(*NIGHTLY, "--mirror", f"{registry.host}/mine").ok()
    delete_upstream(registry, "mine")
    base = row(pin("--check", "--format", "json"), "nightly.base")
    assert base["state"] == "present"
    assert f"{registry.host}/mine/vllm/vllm-openai@" in base["why"]


def test_a_list_without_the_image_for_this_platform_is_not_present(
    registry: Running, pin: Pin, lock_file: Path
) -> None:
    client = registry.client()
    arm = push(client, "vllm/vllm-openai", "arm", LAYER + b"!")
    listed = push_list(client, "vllm/vllm-openai", "arm-only", {"arm64": arm})
    pinned = load(lock_file).image("cuda", "nightly").pins.base.digest
    lock_file.write_text(lock_file.read_text().replace(pinned, listed))
    assert states(pin("--check", "--format", "json"))["nightly.base"] == "gone"


def test_a_wheel_that_was_deleted_or_replaced_is_gone(pin: Pin, index: Path) -> None:
    (file,) = (index / COMMIT).glob("*.whl")
    file.write_bytes(b"another wheel")
    done = pin("--check", "--format", "json")
    assert (done.code, row(done, "wheel.vllm")["state"]) == (1, "gone")
    assert "has another content" in row(done, "wheel.vllm")["why"]
    file.unlink()
    assert "does not exist (404)" in row(pin("--check", "--format", "json"), "wheel.vllm")["why"]


def test_a_package_that_the_index_no_longer_has_is_gone(pin: Pin, index: Path) -> None:
    offer(index, "1.1")
    done = pin("--check", "--format", "json")
    gone = row(done, "wheel.python.requirements")
    assert (done.code, gone["state"], gone["input"]) == (1, "gone", "tinydep==1.0")
    assert "invoke pin --platform cuda --channel wheel --version VERSION" in gone["fix"]


def test_a_package_whose_files_were_replaced_is_gone(pin: Pin, index: Path) -> None:
    offer(index, "1.0", needs="another==1")
    gone = row(pin("--check", "--format", "json"), "wheel.python.requirements")
    assert (gone["state"], gone["why"]) == ("gone", "the package index has other files of this version")


def test_sources_that_do_not_answer_are_unknown_and_no_failure(registry: Running, pin: Pin) -> None:
    registry.stop()
    done = pin("--check", "--format", "json")
    assert done.code == 0
    assert states(done)["nightly.base"] == "unknown"
    assert "does not answer" in row(done, "nightly.base")["why"]
    assert "2 of 4 sources did not answer" in pin("--check").err


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Serve every request with one status: `answering(401)` returns the URL."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Log nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_leaves_the_state_unknown(
    registry: Running, pin: Pin, answering: Callable[[int], str], status: int
) -> None:
    url = answering(status)
    words = ("--check", "--registry", f"{registry.host}={url}", "--format", "json")
    done = pin(*words, UV_DEFAULT_INDEX=url)
    assert done.code == 0
    assert states(done) == {
        "nightly.base": "unknown",
        "wheel.base": "unknown",
        "wheel.vllm": "present",
        "wheel.python.requirements": "unknown",
    }


@pytest.mark.parametrize(
    "option", [("--nightly",), ("--version", "0.33.0"), ("--mirror", "127.0.0.1:9/x"), ("--revision", "v2")]
)
def test_check_refuses_an_option_that_changes_the_lock(lock_file: Path, option: tuple[str, ...]) -> None:
    done = invoke("pin", "--lock", str(lock_file), "--check", *option)
    assert (done.code, f"--check and {option[0]} cannot be used together" in done.err) == (2, True), done.err
