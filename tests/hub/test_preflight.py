"""Disks that cannot take a model, and caches on file systems without links: found before the first byte."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from errors import Refused, SlipwayError
from launch.weights import preflight
from launch.weights.cache import ModelFolder
from launch.weights.fetch import fetch_model
from launch.weights.file_system import file_system_of
from launch.weights.local_folder import check_folder
from launch.weights.manifest import Entry
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.verify import verify_model
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import RecordingServer, serve_folder
from tests.invocation import invoke

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"


@contextmanager
def mounted(image: Path, make: list[str], size: str) -> Iterator[Path]:
    """Mount a new file system in a file; skip the test if this host cannot."""
    place = image.with_suffix(".mounted")
    place.mkdir()
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    subprocess.run(["truncate", "-s", size, str(image)], check=True)
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    if subprocess.run(
        ["mount", "-o", "loop", str(image), str(place)], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting a file system needs root, and a kernel that has it")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def exfat(image: Path) -> Iterator[Path]:
    """Mount a new exFAT, which has no links; skip the test if this host cannot."""
    place, mount = image.with_suffix(".mounted"), shutil.which("mount.exfat-fuse")
    if not (mount and shutil.which("mkfs.exfat") and os.geteuid() == 0):
        pytest.skip("no exFAT: root, and Debian's exfat-fuse and exfatprogs")
    place.mkdir()
    subprocess.run(["truncate", "-s", "200M", str(image)], check=True)
    device = subprocess.check_output(["losetup", "-f", "--show", str(image)], text=True).strip()
    try:
        subprocess.run(["mkfs.exfat", device], check=True, capture_output=True)
        subprocess.run([mount, device, str(place)], check=True, capture_output=True)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        subprocess.run(["losetup", "-d", device], check=True)


def assert_nothing_was_fetched(hub: RecordingServer) -> None:
    assert not [request for request in hub.requests if "/resolve/" in request.target]


def test_a_disk_without_inodes_is_named(folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot]) -> None:
    with (
        mounted(tmp_path / "disk", ["mkfs.ext4", "-q", "-N", "16"], "200M") as disk,
        serve_folder(folder) as hub,
    ):
        free = os.statvfs(disk).f_favail
        for number in range(free - 5):
            (disk / str(number)).touch()
        with pytest.raises(SlipwayError, match=r"needs 40 inodes, and the disk of .* has 5 free"):
            fetch(hub.url, cache=disk / "cache")
        assert_nothing_was_fetched(hub)
        assert not (disk / "cache").exists()


def test_the_end_of_the_inodes_is_not_called_a_full_disk(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_require_inodes", lambda model, place, missing: None)
    with (
        mounted(tmp_path / "disk", ["mkfs.ext4", "-q", "-N", "16"], "200M") as disk,
        serve_folder(folder) as hub,
    ):
        for number in range(os.statvfs(disk).f_favail - 10):
            (disk / str(number)).touch()
        with pytest.raises(SlipwayError, match="has no free inodes"):
            fetch(hub.url, cache=disk / "cache")


def test_the_reserved_space_is_given_back(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with mounted(tmp_path / "disk", ["mkfs.ext4", "-q"], "200M") as disk, serve_folder(folder) as hub:
        assert file_system_of(disk) == "ext4"
        free = os.statvfs(disk).f_bfree
        preflight._require_quota(MODEL, disk, 100 << 20)
        assert os.statvfs(disk).f_bfree == free
        assert_complete(fetch(hub.url, cache=disk / "cache").path)


def test_a_quota_is_found_before_the_first_byte(
    folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "file_system_of", lambda path: "xfs")
    monkeypatch.setattr(preflight, "_fallocate", lambda file, size: errno.EDQUOT)
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match=r"the quota on the disk of .* is used up"):
            fetch(hub.url)
        assert_nothing_was_fetched(hub)


def test_a_real_quota_is_found_before_the_first_byte(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with mounted(tmp_path / "disk", ["mkfs.btrfs", "-q"], "400M") as disk, serve_folder(folder) as hub:
        place = disk / "user"
        for words in (
            ["subvolume", "create", place],
            ["quota", "enable", disk],
            ["qgroup", "limit", "1M", place],
        ):
            subprocess.run(["btrfs", *map(str, words)], check=True, capture_output=True)
        with pytest.raises(SlipwayError, match=r"the quota on the disk of .* is used up"):
            fetch(hub.url, cache=place / "cache")
        assert_nothing_was_fetched(hub)
        subprocess.run(["btrfs", "qgroup", "limit", "none", place], check=True, capture_output=True)
        assert_complete(fetch(hub.url, cache=place / "cache").path)


def test_a_real_file_system_without_links_has_the_files_themselves(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with exfat(tmp_path / "disk") as disk, serve_folder(folder) as hub:
        with pytest.raises(OSError):
            (disk / "link").symlink_to("file")
        found = fetch(hub.url, cache=disk / "cache")
        assert_complete(found.path)
        assert snapshot_download(MODEL, cache_dir=disk / "cache", local_files_only=True) == str(found.path)


def test_a_file_that_is_too_large_for_the_file_system_is_named(
    folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.ftruncate

    def of_fat(file: int, size: int) -> None:
        if size >= 1 << 32:
            raise OSError(errno.EFBIG, "File too large")
        real(file, size)

    monkeypatch.setattr(os, "ftruncate", of_fat)
    entry = Entry("model.safetensors", 5 << 30, "a" * 64)
    with pytest.raises(SlipwayError, match=r"cannot have a file of 5\.0 GiB"):
        preflight._require_sizes(MODEL, folder, entry)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENAMETOOLONG, "too long for this file system"),
        (errno.EINVAL, "does not allow its characters"),
    ],
)
def test_names_that_the_file_system_does_not_have_are_found_first(
    number: int, why: str, tmp_path: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served" / MODEL).mkdir(parents=True)
    (tmp_path / "served" / MODEL / "what?.txt").write_text("x")
    real = os.open

    def of_fat(path: str | Path, *options: int, **more: int | None) -> int:
        if str(path).endswith("what?.txt"):
            raise OSError(number, os.strerror(number))
        return real(path, *options, **more)  # type: ignore[arg-type]

    with serve_folder(tmp_path / "served") as hub:
        monkeypatch.setattr(os, "open", of_fat)
        with pytest.raises(SlipwayError, match="cannot have the file name") as error:
            fetch(hub.url)
        assert why in error.value.why
        assert_nothing_was_fetched(hub)


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `symlink` fail as on FAT."""

    def symlink(*names: object, **more: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", symlink)


@pytest.mark.usefixtures("no_links")
def test_a_cache_without_links_has_the_files_themselves(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url)
        assert_complete(snapshot.path)
        assert fetch(hub.url).fetched == 0
    assert require_complete(MODEL, cache=cache).files == len(SIZES)
    for deep in (False, True, False):
        assert verify_model(MODEL, cache=cache, deep=deep).bad == ()
    assert list(ModelFolder(cache, MODEL).blobs.iterdir()) == []
    (snapshot.path / BIG).write_bytes(bytes(SIZES[BIG]))
    assert [fault.kind for fault in verify_model(MODEL, cache=cache).faults] == ["changed"]
    with serve_folder(folder) as hub:
        verify_model(MODEL, cache=cache, deep=True, repair=True, endpoint=hub.url)
    assert_complete(snapshot.path)


@pytest.mark.usefixtures("no_links")
def test_two_names_of_the_same_content_are_two_files_without_links(tmp_path: Path, cache: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / "served" / MODEL).mkdir(parents=True, exist_ok=True)
        (tmp_path / "served" / MODEL / name).write_text("the same")
    with serve_folder(tmp_path / "served") as hub:
        snapshot = fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK)
    assert {path.read_text() for path in snapshot.path.iterdir()} == {"the same"}
    assert len(list(snapshot.path.iterdir())) == 2


def test_what_hf_left_without_links_is_verified_and_not_fetched_again(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        path = Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url))
        for name in SIZES:  # as huggingface_hub leaves it on FAT
            blob = (path / name).resolve()
            (path / name).unlink()
            blob.rename(path / name)
        result = invoke("verify", MODEL, "--cache", str(cache), "--deep")
        assert f"{len(SIZES)} of {len(SIZES)} files cannot be verified offline" in result.err
        assert f"invoke fetch {MODEL} --cache {cache}" in result.err
        snapshot = fetch(hub.url)
    assert snapshot.fetched == 0
    assert_complete(snapshot.path)


@pytest.fixture
def clone(folder: Path, tmp_path: Path) -> Path:
    """A folder of models in which one file of weights is a pointer."""
    root = Path(shutil.copytree(folder, tmp_path / "clone"))
    (root / MODEL / BIG).write_text(POINTER)
    return root


def test_fetch_refuses_pointers_in_place_of_weights(
    clone: Path, cache: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.hub_server.model_folder.lfs_pointer.is_pointer", lambda path: False)
    with (
        serve_folder(clone) as hub,
        pytest.raises(SlipwayError, match="has Git LFS pointers instead") as error,
    ):
        fetch(hub.url)
    assert f"{BIG} is one of 1; nothing was fetched" in error.value.why
    assert not ModelFolder(cache, MODEL).blobs.exists()


def test_verify_and_a_local_folder_name_a_pointer(
    folder: Path, clone: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    with pytest.raises(Refused, match="is a Git LFS pointer"):
        check_folder(clone / MODEL, [BIG], {}, "clone")
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url)
    manifest = ModelFolder(cache, MODEL).manifest(snapshot.commit)
    blob = (snapshot.path / BIG).resolve()
    blob.write_text(POINTER)
    status = blob.stat()
    text = manifest.read_text().replace(f'"size": {SIZES[BIG]}', f'"size": {status.st_size}')
    manifest.write_text(text)
    (fault,) = verify_model(MODEL, cache=cache).faults
    assert str(fault) == f"{BIG} is a Git LFS pointer instead of the weights"
