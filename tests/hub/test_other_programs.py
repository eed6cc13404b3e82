"""What other programs and users left in a cache: it is continued, verified and shared, and not fetched again."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from errors import SlipwayError
from launch.hub_server.model_folder import read_repository
from launch.weights.cache import ModelFolder
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.verify import verify_folder, verify_model
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import Fault, serve_folder
from tests.invocation import invoke

LENGTH = 12 << 20
ALICE, BOB, GROUP = 54_001, 54_002, 54_000


@pytest.mark.parametrize("form", ["{etag}.incomplete", "{etag}.0a1b2c3d.incomplete"])
def test_fetch_continues_what_hf_left(
    form: str,
    folder: Path,
    cache: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    model, etag = ModelFolder(cache, MODEL), read_repository(folder, MODEL).by_path[BIG].etag
    model.blobs.mkdir(parents=True)
    left = model.blobs / form.format(etag=etag)
    left.write_bytes((folder / MODEL / BIG).read_bytes()[:LENGTH])
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url)
    assert snapshot.fetched == sum(SIZES.values()) - LENGTH
    assert_complete(snapshot.path)
    assert not left.exists()


@pytest.mark.parametrize("damage", ["a hole", "a wrong byte"])
def test_what_hf_left_with_holes_or_wrong_bytes_does_no_harm(
    damage: str,
    folder: Path,
    cache: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    model, etag = ModelFolder(cache, MODEL), read_repository(folder, MODEL).by_path[BIG].etag
    model.blobs.mkdir(parents=True)
    content = bytearray((folder / MODEL / BIG).read_bytes()[:LENGTH])
    content[1 << 20 : 2 << 20] = bytes(1 << 20) if damage == "a hole" else b"x" * (1 << 20)
    (model.blobs / f"{etag}.incomplete").write_bytes(content)
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url)
    assert_complete(snapshot.path)
    if damage == "a hole":
        assert snapshot.fetched == sum(SIZES.values()) - (1 << 20)


@pytest.fixture
def shared_disk(no_user_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that other users of this host can reach."""
    if os.getuid():
        pytest.skip("becoming another user needs root")
    place = Path(tempfile.mkdtemp(prefix="slipway-shared-"))
    place.chmod(0o755)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(place / "no-token"))
    states = place / "states"
    states.mkdir()
    states.chmod(0o1777)
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(states))
    yield place
    shutil.rmtree(place)


def as_user(user: int, action: Callable[[], object], umask: int = 0o022) -> str:
    """Run an action in a process of another user; return the message it fails with, "" if it succeeds."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(user)
            os.setuid(user)
            os.umask(umask)
            os.environ["SLIPWAY_STATE_DIR"] += f"/{user}"  # each user has a state folder
            action()
        except SlipwayError as error:
            os.write(write, str(error).encode())
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as output:
        message = output.read()
    os.waitpid(process, 0)
    return message


def group_cache(place: Path) -> Path:
    cache = place / "hub"
    cache.mkdir()
    os.chown(cache, ALICE, GROUP)
    cache.chmod(0o2775)
    return cache


def test_two_users_share_one_cache(
    folder: Path, shared_disk: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    shared = group_cache(shared_disk)
    with serve_folder(folder) as hub:
        fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK)  # imports all modules, as root
    half = Fault("close", "content", match=BIG, at=LENGTH)
    with serve_folder(folder, faults=(half,)) as hub:
        url = hub.url
        message = as_user(
            ALICE, lambda: fetch_model(MODEL, cache=shared, endpoint=url, policy=QUICK, workers=1)
        )
    assert "gave up after" in message
    before = sum(path.stat().st_size for path in shared.glob("models--*/blobs/*"))
    assert before > LENGTH // 2
    with serve_folder(folder) as hub:
        url = hub.url
        assert as_user(BOB, lambda: fetch_model(MODEL, cache=shared, endpoint=url, policy=QUICK)) == ""
        assert as_user(ALICE, lambda: fetch_model(MODEL, cache=shared, endpoint=url, policy=QUICK)) == ""
    for user in (ALICE, BOB):
        assert as_user(user, lambda: verify_model(MODEL, cache=shared, deep=True)) == ""
        assert as_user(user, lambda: require_complete(MODEL, cache=shared)) == ""
    assert_complete(require_complete(MODEL, cache=shared).path)
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in shared.rglob("*") if path.is_dir()}
    assert modes == {0o2775}
    assert not list(shared.glob("models--*/blobs/*.incomplete"))


def test_a_lock_of_another_user_that_can_only_be_read_is_taken(
    folder: Path, shared_disk: Path, cache: Path
) -> None:
    shared = group_cache(shared_disk)
    with serve_folder(folder) as hub:
        fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK)
        model = ModelFolder(shared, MODEL)
        model.locks.mkdir(parents=True)
        for name in (".locks", f".locks/{model.locks.name}"):
            os.chown(shared / name, ALICE, GROUP)
            (shared / name).chmod(0o2775)
        for file in read_repository(folder, MODEL).files:
            lock = model.locks / f"{file.etag}.lock"
            lock.touch(0o644)
            os.chown(lock, ALICE, GROUP)
        url = hub.url
        assert as_user(BOB, lambda: fetch_model(MODEL, cache=shared, endpoint=url, policy=QUICK)) == ""


def test_a_folder_of_another_user_is_named_and_not_a_second_download(
    folder: Path, shared_disk: Path, cache: Path
) -> None:
    shared = group_cache(shared_disk)
    with serve_folder(folder) as hub:
        fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK)
        blobs = ModelFolder(shared, MODEL).blobs
        blobs.mkdir(parents=True)
        for path in (blobs.parent, blobs):
            os.chown(path, ALICE, GROUP)
            path.chmod(0o755)
        url = hub.url
        message = as_user(BOB, lambda: fetch_model(MODEL, cache=shared, endpoint=url, policy=QUICK))
    assert f"user {BOB} may not write to '{blobs.parent}" in message
    assert f"it belongs to {ALICE} with mode 755" in message
    assert "chmod -R g+rwX" in message
    assert "--cache" not in message


def test_two_users_do_not_need_a_shared_cache_to_read(
    folder: Path, shared_disk: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = shared_disk / "hub"
    with serve_folder(folder) as hub:
        fetch_model(MODEL, cache=readable, endpoint=hub.url, policy=QUICK)
        url = hub.url
        assert as_user(BOB, lambda: fetch_model(MODEL, cache=readable, endpoint=url, policy=QUICK)) == ""
    assert as_user(BOB, lambda: verify_model(MODEL, cache=readable, deep=True)) == ""


@pytest.fixture
def download(folder: Path, tmp_path: Path) -> Path:
    """A folder that `hf download --local-dir` made."""
    with serve_folder(folder) as hub:
        return Path(snapshot_download(MODEL, local_dir=tmp_path / "download", endpoint=hub.url))


def test_a_local_dir_download_is_verified(download: Path, commit: str) -> None:
    shallow = verify_folder(download)
    assert (shallow.known, shallow.faults) == (False, ())
    deep = verify_folder(download, deep=True)
    assert (deep.ok, deep.snapshot.files, deep.snapshot.commit) == (True, len(SIZES), commit)
    assert verify_folder(download).ok
    (download / BIG).write_bytes(bytes(SIZES[BIG]))
    assert [fault.kind for fault in verify_folder(download).faults] == ["changed"]
    assert [str(fault) for fault in verify_folder(download, deep=True).faults] == [
        f"{BIG} has the wrong content"
    ]
    (download / BIG).write_bytes(b"short")
    assert [str(fault) for fault in verify_folder(download).faults] == [
        f"{BIG} has 5 bytes instead of {SIZES[BIG]}"
    ]
    (download / BIG).unlink()
    assert [fault.kind for fault in verify_folder(download).faults] == ["missing"]


def test_verify_of_a_folder_says_what_to_run(download: Path, tmp_path: Path) -> None:
    result = invoke("verify", str(download))
    assert "was never verified" in result.err
    assert f"invoke verify {download} --deep" in result.err
    assert (
        f"{len(SIZES)} files are verified (every byte)" in invoke("verify", str(download), "--deep").ok().out
    )
    (download / BIG).unlink()
    assert "hf download ORGANIZATION/NAME --revision" in invoke("verify", str(download)).err
    (tmp_path / "plain").mkdir()
    assert "no hash of the files in" in invoke("verify", str(tmp_path / "plain")).err
    assert invoke("verify", str(tmp_path / "nothing")).code == 2
    assert invoke("verify", str(download), "--repair").code == 2
