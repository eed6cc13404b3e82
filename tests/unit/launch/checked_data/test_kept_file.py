"""What was read and checked is kept for the next command, as long as nothing has changed."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch import paths
from launch.checked_data import kept_file
from launch.checked_data.cache_folder import CacheFolder
from launch.checked_data.kept_file import STORE, kept
from launch.spec.model_config import ModelShape

MODULE = ModelShape.__module__


class Source:
    """A file whose reads are counted."""

    def __init__(self, path: Path) -> None:
        self.path, self.reads = path, 0
        self.write("62")

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def value(self) -> ModelShape:
        return kept(self.path, "shape", MODULE, self._read)

    def _read(self) -> ModelShape:
        self.reads += 1
        return ModelShape(layers=int(self.path.read_text()))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source, and a cache folder of its own."""
    monkeypatch.setenv(paths.OVERRIDE, str(tmp_path / "state"))
    token = STORE.set(CacheFolder("checked"))
    yield Source(tmp_path / "shape.yaml")
    STORE.reset(token)


def only_file() -> Path:
    (found,) = (paths.cache_dir() / "checked").iterdir()
    return found


def test_without_a_store_nothing_is_kept(source: Source) -> None:
    STORE.set(None)
    assert source.value() == source.value()
    assert source.reads == 2
    assert not paths.cache_dir().exists()


def test_a_file_is_read_once(source: Source) -> None:
    assert source.value() == source.value() == ModelShape(layers=62)
    assert source.reads == 1


def test_a_changed_file_is_read_again(source: Source) -> None:
    source.value()
    source.write("100")
    assert source.value().layers == 100


@pytest.mark.parametrize("damage", [b"", b"no pickle", b"\x80\x04N."])
def test_what_is_damaged_is_read_again(source: Source, damage: bytes) -> None:
    source.value()
    only_file().write_bytes(damage)
    assert source.value().layers == 62
    assert source.reads == 2
    assert source.value().layers == 62
    assert source.reads == 2


def test_a_type_with_other_fields_is_read_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.value()
    monkeypatch.setattr(kept_file, "_names", lambda kind: ("layers", "a_new_field"))
    source.value()
    assert source.reads == 2


def test_with_a_cache_that_cannot_be_written_the_file_is_read(source: Source) -> None:
    folder = paths.cache_dir()
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in the way")
    assert source.value() == source.value()
    assert source.reads == 2


@dataclass(frozen=True)
class Foreign:
    """A class that is not Slipway's."""


def test_nothing_but_own_dataclasses_and_plain_values_is_read(source: Source, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "touched",))

    for content in (Harmful(), Foreign()):
        source.value()
        (stamp, types, _) = pickle.loads(only_file().read_bytes())
        only_file().write_bytes(pickle.dumps((stamp, types, content)))
        assert source.value().layers == 62
    assert not (tmp_path / "touched").exists()


def test_a_foreign_module_is_not_even_imported(source: Source) -> None:
    source.value()
    only_file().write_bytes(b"cantigravity\nfly\n.")  # a pickle that names a class of a module
    assert source.value().layers == 62
    assert "antigravity" not in sys.modules
