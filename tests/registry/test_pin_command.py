"""`invoke pin` with wrong options, which are refused before any request, and with a lock that cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.invocation import invoke
from tests.registry.pushed import push
from tests.registry.serving import Running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@contextmanager
def mounted(target: Path, *options: str) -> Iterator[None]:
    """Mount a file system for a test, or skip it if this host does not allow that."""
    if subprocess.run(["mount", *options, str(target)], check=False).returncode:
        pytest.skip("this host does not allow mounts")
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@as_root
def test_a_full_disk_leaves_the_lock_unchanged(registry: Running, lock_file: Path, tmp_path: Path) -> None:
    push(registry.client(), "vllm/vllm-openai", "nightly")
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", "size=8k", "tmpfs"):
        shutil.copy(lock_file, small)
        shutil.copy(lock_file.parent / "requirements.txt", small)
        (small / "filler").write_bytes(b"x" * 4096)
        done = invoke("pin", "--lock", str(small / "lock.yaml"), "--platform", "cuda", "--channel", "nightly")
        assert done.code == 1
        assert "cannot write the lock; it is unchanged" in done.err
        assert (small / "lock.yaml").read_bytes() == lock_file.read_bytes()
        assert {path.name for path in small.iterdir()} == {"lock.yaml", "requirements.txt", "filler"}


@as_root
def test_a_read_only_disk_leaves_the_lock_unchanged(registry: Running, lock_file: Path) -> None:
    push(registry.client(), "vllm/vllm-openai", "nightly")
    folder, before = lock_file.parent, lock_file.read_bytes()
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        done = invoke("pin", "--lock", str(lock_file), "--platform", "cuda", "--channel", "nightly")
        assert done.code == 1
        assert "cannot write the lock; it is unchanged" in done.err
        assert lock_file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--commit", "abc"), "give all 40 hex digits"),
        (("--platform", "cuda-wheel"), "--platform cuda --channel wheel"),
        (("--platform", "cuda", "--channel", "nightlies"), "Did you mean `nightly`?"),
        (("--channel", "stable"), "has no channel 'stable'"),
        (("--platform", "cuda", "--base", "vllm/vllm-openai"), "--base needs --channel"),
        (("--commit", "a" * 40, "--nightly"), "cannot be used together"),
        (("--version", "../../x"), "(got '../../x')"),
        (("--base", "vllm/vllm-openai"), "--base"),
        (("--platform", "cuda", "--base", "vllm/vllm-openai:v1"), "--base 'vllm/vllm-openai:v1'"),
        (("--platform", "cuda", "--base", "vllm/VLLM"), "vllm/VLLM"),
        (("--registry", "docker.io=nonsense"), "--registry docker.io"),
        (("--registry", "docker.io=http://127.0.0.1:99999"), "--registry docker.io"),
        (("--wheels", "ftp://127.0.0.1"), "--wheels 'ftp://127.0.0.1'"),
        (("--mirror", "nowhere"), "--mirror 'nowhere'"),
        (("--mirror", "127.0.0.1:99999/mine"), "--mirror '127.0.0.1:99999/mine'"),
        (("--mirror", "127.0.0.1:5000/mine:1"), "--mirror '127.0.0.1:5000/mine:1'"),
    ],
)
def test_a_wrong_option_is_refused(lock_file: Path, options: tuple[str, ...], message: str) -> None:
    before = lock_file.read_bytes()
    done = invoke("pin", "--lock", str(lock_file), *options)
    assert (done.code, message in done.err) == (2, True), done.err
    assert lock_file.read_bytes() == before
