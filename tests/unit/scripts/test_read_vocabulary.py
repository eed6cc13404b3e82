"""`python -m scripts.read_vocabulary`: what it cannot read ends in one message."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import ImageNotFound

from scripts import read_vocabulary


class Container:
    """A container whose probe printed `output`."""

    def __init__(self, output: str = "{}", errors: str = "") -> None:
        self.output, self.errors, self.removed = output, errors, False

    def put_archive(self, folder: str, content: bytes) -> None:
        assert folder == "/tmp"
        assert content

    def start(self) -> None: ...

    def wait(self) -> dict[str, int]:
        return {"StatusCode": 0}

    def logs(self, *, stdout: bool, stderr: bool) -> bytes:
        return (self.output if stdout else self.errors).encode()

    def remove(self, *, force: bool) -> None:
        self.removed = force


def run(monkeypatch: pytest.MonkeyPatch, container: Container | None, *words: str) -> int:
    """Return the exit code of the script on an engine that has one image, or none."""

    def create(image: str, **_: Any) -> Container:
        if container is None:
            raise ImageNotFound(f"No such image: {image}")
        return container

    engine = SimpleNamespace(containers=SimpleNamespace(create=create))
    monkeypatch.setattr(read_vocabulary, "connect", lambda **_: engine)
    monkeypatch.setattr(sys, "argv", ["read_vocabulary", *words])
    with pytest.raises(SystemExit) as end:
        read_vocabulary.main()
    return int(end.value.code or 0)


def test_an_image_that_the_engine_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, None, "slipway/none:1") == 2
    assert capsys.readouterr().err.startswith("error: the engine has no image 'slipway/none:1'")


def test_a_damaged_wheel_is_refused_and_its_container_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "vllm.whl").write_text("not a zip file")
    container = Container()
    assert run(monkeypatch, container, "image", "--wheel", str(tmp_path / "vllm.whl")) == 2
    assert "why: File is not a zip file" in capsys.readouterr().err
    assert container.removed


def test_a_probe_that_found_no_options_says_what_it_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    container = Container(errors="options: ModuleNotFoundError: No module named 'gguf'")
    assert run(monkeypatch, container, "image") == 1
    assert "why: options: ModuleNotFoundError" in capsys.readouterr().err
    assert container.removed
