"""`invoke pin` as its user types it: what is refused before anything is asked, and a lock that cannot be written."""

import os
import shutil
import subprocess

import pytest

from tests.invocation import invoke
from tests.registry.pushed import push


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_leaves_the_old_lock(registry, written, tmp_path):
    push(registry.client(), "vllm/vllm-openai", "nightly")
    small = tmp_path / "small"
    small.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)]
    if subprocess.run(words, check=False).returncode:
        pytest.skip("this host lets nobody mount a tmpfs")
    try:
        kept = shutil.copy(written, small), shutil.copy(written.parent / "requirements.txt", small)
        (small / "filler").write_bytes(b"x" * 4096)
        done = invoke("pin", "--lock", str(small / "lock.yaml"), "--platform", "cuda")
        assert done.code == 1
        assert "cannot write the lock; it stays as it was" in done.err
        assert (small / "lock.yaml").read_bytes() == written.read_bytes()
        assert {p.name for p in small.iterdir()} == {"lock.yaml", "requirements.txt", "filler"}, kept
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_lock_on_a_disk_that_cannot_be_written_is_said(registry, written):
    push(registry.client(), "vllm/vllm-openai", "nightly")
    folder, was = str(written.parent), written.read_bytes()
    if subprocess.run(["mount", "--bind", folder, folder], check=False).returncode:
        pytest.skip("this host lets nobody mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        done = invoke("pin", "--lock", str(written), "--platform", "cuda")
        assert (done.code, "cannot write the lock; it stays as it was" in done.err) == (1, True), done.err
        assert written.read_bytes() == was
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--commit", "abc"), "give all 40 hex digits"),
        (("--commit", "a" * 40, "--nightly"), "say different things"),
        (("--version", "../../x"), "'../../x' is no version"),
        (("--base", "vllm/vllm-openai"), "--base needs --platform"),
        (("--platform", "cuda", "--base", "vllm/vllm-openai:v1"), "a tag or digest stands in it"),
        (("--platform", "cuda", "--base", "vllm/VLLM"), "is no repository's name"),
        (("--registry", "docker.io=nonsense"), "that is no web address"),
        (("--registry", "docker.io=http://127.0.0.1:99999"), "that is no web address"),
        (("--wheels", "ftp://127.0.0.1"), "that is no web address"),
        (("--mirror", "nowhere"), "that names no registry"),
        (("--mirror", "127.0.0.1:99999/mine"), "that names no registry"),
        (("--mirror", "127.0.0.1:5000/mine:1"), "is no repository's name"),
    ],
)
def test_a_wrong_request_is_refused(written, words, said):
    was = written.read_bytes()
    done = invoke("pin", "--lock", str(written), *words)
    assert (done.code, said in done.err) == (2, True), done.err
    assert written.read_bytes() == was
