"""The build context: the files in it, and the hash of Slipway's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.build import context
from images.lock.lockfile import load, parse
from images.lock.schema import LockedImage


def wheel_image() -> LockedImage:
    """An image whose vLLM is a wheel with a URL."""
    base = {"repository": "r", "digest": "sha256:" + "a" * 64, "source": "s"}
    vllm = {
        "package": "vllm",
        "version": "0.33.0",
        "wheel": "https://wheels/vllm-0.33.0%2Bcu130-cp38-abi3-linux_x86_64.whl",
        "sha256": "b" * 64,
        "source": "s",
    }
    python = {"requirements": "cpu/requirements.txt", "sha256": ""}
    data = {"schema": 2, "platforms": {"cuda": {"wheel": {"base": base, "vllm": vllm, "python": python}}}}
    return parse(data).image("cuda")


def test_assemble_adds_a_wheel_with_a_url_to_the_requirements(tmp_path: Path) -> None:
    context.assemble(tmp_path, wheel_image(), [])
    last = (tmp_path / "requirements.txt").read_text().splitlines()[-1]
    assert last.startswith("vllm @ https://wheels/vllm-0.33.0%2Bcu130")
    assert last.endswith("--hash=sha256:" + "b" * 64)
    assert (tmp_path / "install.sh").exists()


def test_assemble_installs_a_local_wheel_from_the_context(tmp_path: Path) -> None:
    wheel = tmp_path / "vllm-0.33.0+cu130-cp38-abi3-linux_x86_64.whl"
    wheel.write_bytes(b"wheel")
    context.assemble(tmp_path / "ctx", wheel_image(), [wheel])
    assert "vllm @ file:///run/wheels/vllm-0.33.0+cu130" in (tmp_path / "ctx/requirements.txt").read_text()
    assert (tmp_path / "ctx/wheels" / wheel.name).read_bytes() == b"wheel"


def test_assemble_takes_the_requirements_from_the_folder_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/cpu").mkdir(parents=True)
    (tmp_path / "elsewhere/cpu/requirements.txt").write_text("tinydep==1.0\n")
    context.assemble(tmp_path / "ctx", wheel_image(), [], tmp_path / "elsewhere")
    assert (tmp_path / "ctx/requirements.txt").read_text().startswith("tinydep==1.0\nvllm @ ")


def test_assemble_copies_only_the_dockerfile_if_the_base_includes_vllm(tmp_path: Path) -> None:
    context.assemble(tmp_path, load().image("rocm"), [])
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


def test_assemble_again_leaves_modification_times_unchanged(tmp_path: Path) -> None:
    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.is_file()}

    context.assemble(tmp_path, wheel_image(), [])
    before = times()
    context.assemble(tmp_path, wheel_image(), [])
    assert times() == before


def test_local_wheels_returns_only_wheels_that_the_lock_names(tmp_path: Path) -> None:
    for name in ("torch-1+cpu.whl", "other.whl"):
        (tmp_path / name).write_bytes(b"")
    found = context.local_wheels({"find-links": f"{tmp_path} file://{tmp_path}"}, {"torch-1+cpu.whl": ""})
    assert {path.name for path in found} == {"torch-1+cpu.whl"}


def test_own_files_changes_with_the_files_but_not_with_the_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context.own_files("cpu") != context.own_files("rocm")
    for folder in ("cpu", "wheels"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(context, "IMAGES", tmp_path)
    empty = context.own_files("cpu")
    (tmp_path / "cpu" / "requirements.txt").write_text("the lock has its hash")
    assert context.own_files("cpu") == empty
    (tmp_path / "cpu" / "Dockerfile").write_text("FROM scratch")
    assert context.own_files("cpu") != empty
