"""Read what describes a model from a local folder and from the Hugging Face cache."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from errors import Refused
from launch.weights.checkpoint import from_cache, from_folder
from launch.weights.manifest import Entry, Manifest, save
from tests.unit.launch.checkpoints import GIB, HERMES, LLAMA, write_model, write_weights

COMMIT = "a" * 40


def test_from_folder_reads_config_template_and_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "Model 1", template=HERMES)
    found = from_folder(str(folder))
    assert (found.model, found.folder, found.template) == ("Model-1", str(folder), HERMES)
    assert (found.shape.layers, found.shape.weight_bytes, found.shape.expert_bytes) == (32, 16 * GIB, 0)


def test_from_folder_accepts_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert from_folder("./m").folder == str(tmp_path / "m")
    monkeypatch.chdir(tmp_path / "m")
    assert from_folder(".").model == "m"


def test_from_folder_prefers_the_template_of_its_own_file(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", template="old", chat_template__jinja="new")
    assert from_folder(str(folder)).template == "new"


def test_from_folder_joins_named_templates(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    named = [{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}, 3]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert from_folder(str(folder)).template == "one\ntwo"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"chat_template": 7}'])
def test_from_folder_needs_no_tokenizer_settings(tmp_path: Path, text: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "tokenizer_config.json").write_text(text)
    assert from_folder(str(folder)).template == ""


def test_the_context_is_at_most_the_tokenizers(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4096}')
    assert from_folder(str(folder)).shape.context == 4096
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1e30}')
    assert from_folder(str(folder)).shape.context == 131072


def test_weights_in_float32_are_counted_as_vllm_loads_them(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", {**LLAMA, "dtype": "float32"})
    shape = from_folder(str(folder)).shape
    assert (shape.dtype, shape.weight_bytes) == ("bfloat16", 8 * GIB)


def test_the_second_copy_of_the_weights_does_not_count(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", weights=2 * GIB)
    write_weights(folder / "consolidated.safetensors", 2 * GIB)
    assert from_folder(str(folder)).shape.weight_bytes == 2 * GIB


def test_from_folder_refuses_a_file_or_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("GGUF")
    (tmp_path / "notes.txt").write_text("x")
    for given, what in (
        ("/no/such", "no such folder: '/no/such'"),
        (str(tmp_path / "notes.txt"), "is a file"),
        (str(tmp_path / "model.gguf"), "has only GGUF files"),
    ):
        with pytest.raises(Refused, match=what):
            from_folder(given)


def test_from_folder_refuses_a_config_that_is_too_large_or_no_file(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    os.truncate(folder / "config.json", 5_000_000_000)
    with pytest.raises(Refused, match=r"cannot read the config\.json") as refusal:
        from_folder(str(folder))
    assert "5000000000 bytes" in refusal.value.why
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(Refused, match=r"has no config\.json"):
        from_folder(str(folder))


def test_from_folder_refuses_weights_that_are_not_all_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    shards = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(Refused, match="lacks 1 of 2 files with weights") as refusal:
        from_folder(str(folder))
    assert "model-00002-of-00002.safetensors" in refusal.value.why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_from_folder_refuses_a_file_that_root_without_capabilities_cannot_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    weights = folder / "model.safetensors"
    os.chown(weights, 2000, 2000)
    weights.chmod(0o600)
    with pytest.raises(Refused, match=r"the server cannot read '.*model\.safetensors'") as refusal:
        from_folder(str(folder))
    assert refusal.value.why == "its owner is 2000 and its mode 600"
    weights.chmod(0o644)
    from_folder(str(folder))


@pytest.mark.parametrize("name", ["a:b", "new\nline", "esc\x1b"])
def test_from_folder_refuses_a_path_that_cannot_be_mounted(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / name)
    with pytest.raises(Refused, match="cannot mount the folder"):
        from_folder(str(folder))


def test_from_folder_refuses_links_that_the_container_would_not_see(tmp_path: Path) -> None:
    blob = tmp_path / "models--org--name" / "blobs" / "x"
    folder = write_model(tmp_path / "models--org--name" / "snapshots" / COMMIT)
    blob.parent.mkdir()
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    with pytest.raises(Refused, match="is a link out of the folder") as refusal:
        from_folder(str(folder))
    assert refusal.value.fix == "invoke plan org/name"


def snapshot(hub: Path, **options: object) -> Path:
    """Write the snapshot of org/name, and its ref."""
    root = hub / "models--org--name"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    return write_model(root / "snapshots" / COMMIT, **options)  # type: ignore[arg-type]


def test_from_cache_reads_the_snapshot_of_main(tmp_path: Path) -> None:
    snapshot(tmp_path, template=HERMES)
    found = from_cache("org/name", tmp_path)
    assert found is not None
    assert (found.model, found.folder, found.place) == ("org/name", "", f"snapshot {'a' * 12} in the cache")
    assert found.shape.weight_bytes == 16 * GIB


def test_from_cache_knows_the_size_of_weights_that_are_not_there_yet(tmp_path: Path) -> None:
    snapshot(tmp_path, weights=0)
    assert from_cache("org/name", tmp_path) is None
    entries = (Entry("model.safetensors", 3 * GIB, "b" * 64), Entry("config.json", 9, "c" * 40))
    manifest = Manifest("org/name", "main", COMMIT, entries)
    save(manifest, tmp_path / "models--org--name" / "manifests" / f"{COMMIT}.json")
    found = from_cache("org/name", tmp_path)
    assert found is not None and found.shape.weight_bytes == 3 * GIB


def test_from_cache_returns_nothing_for_a_model_that_is_not_there(tmp_path: Path) -> None:
    assert from_cache("org/name", tmp_path) is None
