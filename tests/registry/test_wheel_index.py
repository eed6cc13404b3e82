"""A wheel index like vLLM's and a simple index, served from a folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import Failed
from images.lock import requirements, wheel_index
from images.lock.schema import Python
from launch.http.client import NotFound
from tests.registry.wheels import publish, served, wheel

Index = tuple[Path, str]
COMMIT = "c" * 40


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with served(tmp_path) as url:
        yield tmp_path, url


def test_find_reads_the_commit_of_a_nightly_from_its_url(index: Index) -> None:
    root, url = index
    path = wheel(root / COMMIT, "vllm", "0.33.1.dev7+gccccccccc", tag="cp38-abi3-manylinux_2_35_x86_64")
    publish(root, "nightly", path, "0.33.1.dev7+gccccccccc")
    found = wheel_index.find(url, "nightly")
    assert (found.commit, found.version) == (COMMIT, "0.33.1.dev7+gccccccccc")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.url.startswith(f"{url}/{COMMIT}/vllm-")


def test_find_reads_a_variant(index: Index) -> None:
    root, url = index
    path = wheel(root / "0.33.0", "vllm", "0.33.0+cpu", tag="cp38-abi3-manylinux_2_35_x86_64")
    publish(root, "0.33.0", path, "0.33.0+cpu", variant="cpu")
    assert wheel_index.find(url, "0.33.0", "cpu").version == "0.33.0+cpu"
    with pytest.raises(NotFound):
        wheel_index.find(url, "0.33.0", "cu129")


def test_find_names_the_wheels_of_other_machines(index: Index) -> None:
    root, url = index
    publish(root, COMMIT, wheel(root / COMMIT, "vllm", "1.0"), "1.0")
    with pytest.raises(Failed, match="no default wheel for aarch64") as error:
        wheel_index.find(url, COMMIT, machine="aarch64")
    assert "x86_64" in error.value.why


ROW = {"path": "../../x.whl", "version": "1.0", "platform_tag": "manylinux_2_35_x86_64", "variant": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "the document: is not valid JSON"),
        (json.dumps([ROW])[:-9], "the document: is not valid JSON"),
        ("", "the document: is not valid JSON"),
        ("{}", "the document: must be a list"),
        ("[1]", "0: must be a mapping"),
        (json.dumps([{"version": "1"}]), "0.path: is missing"),
        (json.dumps([ROW | {"version": None}]), "0.version: must be a string"),
        (json.dumps([ROW | {"platform_tag": None}]), "0.platform_tag: must be a string"),
        (json.dumps([ROW | {"sha256": "abc"}]), "0.sha256: must be 64 hex digits"),
        (json.dumps([ROW | {"path": "../../x.html"}]), "is not a wheel"),
        (json.dumps([ROW | {"version": "newest"}]), "is not a wheel"),
    ],
)
def test_find_refuses_an_invalid_index(index: Index, text: str, message: str) -> None:
    root, url = index
    place = root / "nightly" / "vllm"
    place.mkdir(parents=True)
    (place / "metadata.json").write_text(text)
    with pytest.raises(Failed) as error:
        wheel_index.find(url, "nightly")
    assert message in str(error.value)


def test_find_refuses_a_stale_wheel_under_a_new_version(index: Index) -> None:
    """It has happened upstream for ten days (vLLM #44759)."""
    root, url = index
    publish(root, "nightly", wheel(root / COMMIT, "vllm", "0.33.0"), "0.33.1")
    with pytest.raises(Failed, match="is another wheel than listed") as error:
        wheel_index.find(url, "nightly")
    assert error.value.why == "the index lists vllm 0.33.1"


def test_find_returns_the_hash_of_the_content(index: Index) -> None:
    root, url = index
    path = wheel(root / COMMIT, "vllm", "0.33.1")
    publish(root, "nightly", path, "0.33.1")
    listed = root / "nightly" / "vllm" / "metadata.json"
    row = json.loads(listed.read_text())[0]
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    listed.write_text(json.dumps([row | {"sha256": right}]))
    assert wheel_index.find(url, "nightly").sha256 == right
    listed.write_text(json.dumps([row | {"sha256": "b" * 64}]))
    with pytest.raises(Failed, match="has another content than listed"):
        wheel_index.find(url, "nightly")


@pytest.fixture
def torch_index(index: Index) -> str:
    """A simple index with a CPU build of torch 2.14 for two Pythons."""
    root, url = index
    names = [f"torch-2.14.0%2Bcpu-cp{v}-cp{v}-manylinux_2_28_x86_64.whl" for v in ("311", "312")]
    names += [
        "torch-2.14.0%2Bcpu-cp312-cp312-win_amd64.whl",
        "torch-2.13.0%2Bcpu-cp312-cp312-linux_x86_64.whl",
    ]
    links = "".join(f'<a href="/whl/cpu/{name}#sha256={n:064x}">{name}</a>' for n, name in enumerate(names))
    (root / "torch").mkdir()
    (root / "torch" / "index.html").write_text(f"<html>{links}</html>")
    return url


def test_hashes_are_read_from_a_simple_index(torch_index: str) -> None:
    found = wheel_index.hashes(torch_index, "torch", re.compile(r"torch-2\.14\S+linux\S+"))
    assert found == {
        "torch-2.14.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl": f"{0:064x}",
        "torch-2.14.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl": f"{1:064x}",
    }


def test_a_new_torch_gets_new_hashes_and_the_same_keeps_its_own(torch_index: str) -> None:
    kept = {"torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl": "a" * 64}
    python = Python(requirements="r.txt", sha256="", index=torch_index, wheels=kept)
    assert requirements.torch_wheels(python, "torch==2.13.0\n") == kept
    assert len(requirements.torch_wheels(python, "torch==2.14.0\n")) == 2
    with pytest.raises(Failed, match=r"no \+cpu build of torch 2.15.0"):
        requirements.torch_wheels(python, "torch==2.15.0\n")
