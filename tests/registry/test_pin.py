"""`invoke pin` with a real registry and a wheel index with real files, both on loopback."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from errors import Failed
from images.lock import mirror
from images.lock.lockfile import load
from images.lock.schema import ImageInputs, as_data
from launch.http.client import NotFound
from tests.invocation import Finished, invoke
from tests.registry.published import OLD
from tests.registry.pushed import LAYER, push, push_list
from tests.registry.serving import Running
from tests.registry.wheels import publish, served, wheel

COMMIT = "a" * 40
VERSION = "0.33.1.dev5+gaaaaaaaaa"
TAG = "cp38-abi3-manylinux_2_35_x86_64"
NIGHTLY = ("--platform", "cuda", "--channel", "nightly")
WHEEL = ("--platform", "cuda", "--channel", "wheel")
Pin = Callable[..., Finished]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The folder of a wheel index with one commit."""
    root = tmp_path / "index"
    publish(root, COMMIT, wheel(root / COMMIT, "vllm", VERSION, "tinydep==1.0", TAG), VERSION)
    return root


@pytest.fixture
def pin(lock_file: Path, index: Path, tmp_path: Path) -> Iterator[Pin]:
    """Run `invoke pin` on the lock with the index; the package that the wheel needs is in a local folder."""
    links = tmp_path / "links"
    wheel(links, "tinydep", "1.0")
    with served(index) as url:

        def run(*options: str) -> Finished:
            env = {"UV_FIND_LINKS": str(links), "UV_NO_INDEX": "1"}
            wheels = () if "--wheels" in options else ("--wheels", url)
            return invoke("pin", "--lock", str(lock_file), *wheels, "--format", "json", *options, **env)

        yield run


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}


def test_pin_replaces_a_tag_by_the_digest_for_linux_amd64(
    registry: Running, lock_file: Path, pin: Pin
) -> None:
    client = registry.client()
    amd = push(client, "vllm/vllm-openai", "amd", **{"org.opencontainers.image.revision": COMMIT})
    arm = push(client, "vllm/vllm-openai", "arm", LAYER + b"!")
    push_list(client, "vllm/vllm-openai", "nightly", {"arm64": arm, "amd64": amd})
    result = pin(*NIGHTLY).json
    changes = {row["key"]: (row["old"], row["new"]) for row in result["changes"]}
    assert changes["base.digest"] == (OLD, amd)
    assert changes["vllm.commit"] == ("", COMMIT)
    pinned = load(lock_file).image("cuda").pins
    assert (pinned.base.digest, pinned.vllm.commit, pinned.vllm.version) == (amd, COMMIT, "")
    first = lock_file.read_bytes()
    assert pin(*NIGHTLY).json["changes"] == []
    assert lock_file.read_bytes() == first


def test_pin_moves_a_manifest_list_to_its_own_manifest_and_says_so(
    registry: Running, lock_file: Path, pin: Pin
) -> None:
    client = registry.client()
    amd = push(client, "vllm/vllm-openai", "amd")
    listed = push_list(client, "vllm/vllm-openai", "nightly", {"amd64": amd})
    lock_file.write_text(lock_file.read_text().replace(OLD, listed, 1))
    result = pin(*NIGHTLY).json
    assert result["notes"] == [
        "platforms.cuda.nightly.base: the pinned digest was a manifest list; now it is the manifest of the same"
        " image for linux/amd64"
    ]
    pinned = load(lock_file).image("cuda").pins
    assert (pinned.base.digest, pinned.vllm.version) == (amd, "0.30.0")
    assert f"in the list {listed}" in pinned.base.source
    assert pin(*NIGHTLY).json["notes"] == []


def test_pin_takes_the_version_from_a_release_tag_that_moved(
    registry: Running, lock_file: Path, pin: Pin
) -> None:
    client = registry.client()
    push(client, "vllm/vllm-openai", "v0.33.0")
    pin(*NIGHTLY, "--version", "0.33.0").ok()
    moved = push(client, "vllm/vllm-openai", "v0.33.0", LAYER + b"!")
    pin(*NIGHTLY).ok()
    pinned = load(lock_file).image("cuda").pins
    assert (pinned.base.digest, pinned.vllm.version) == (moved, "0.33.0")


def test_without_a_channel_the_options_decide_what_is_pinned(
    registry: Running, lock_file: Path, pin: Pin
) -> None:
    client = registry.client()
    push(client, "vllm/vllm-openai", "nightly")
    push(client, "library/python", "3.12-slim")
    changed = {row["channel"] for row in pin("--nightly").json["changes"]}
    assert changed == {"nightly"}
    assert {row["channel"] for row in pin().json["changes"]} == {"wheel"}


def test_pin_finds_the_tags_of_a_commit_and_a_version(registry: Running, lock_file: Path, pin: Pin) -> None:
    client = registry.client()
    nightly = push(client, "vllm/vllm-openai", f"nightly-{COMMIT}")
    release = push(client, "vllm/vllm-openai", "v0.33.0", LAYER + b"!")
    pin(*NIGHTLY, "--commit", COMMIT).ok()
    assert load(lock_file).image("cuda").pins.base.digest == nightly
    pin(*NIGHTLY, "--version", "0.33.0").ok()
    pinned = load(lock_file).image("cuda").pins
    assert (pinned.base.tag, pinned.base.digest) == ("v0.33.0", release)
    assert pinned.vllm.version == "0.33.0"


def test_pin_hashes_the_wheel_of_a_commit_and_its_dependencies(
    registry: Running, lock_file: Path, index: Path, pin: Pin
) -> None:
    base = push(registry.client(), "library/python", "3.12-slim")
    pin(*WHEEL, "--commit", COMMIT).ok()
    pinned = load(lock_file).image("cuda", "wheel").pins
    assert pinned.base.digest == base
    assert (pinned.vllm.version, pinned.vllm.commit) == (VERSION, COMMIT)
    file = index / COMMIT / pinned.vllm.file
    assert pinned.vllm.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    requirements = (lock_file.parent / "requirements.txt").read_text()
    assert requirements.startswith("tinydep==1.0 \\\n    --hash=sha256:")
    assert "vllm" not in requirements


def test_mirrored_inputs_remain_after_upstream_deletes_its_own(
    registry: Running, lock_file: Path, index: Path, pin: Pin, tmp_path: Path
) -> None:
    client = registry.client()
    base = push(client, "library/python", "3.12-slim")
    pin(*WHEEL, "--commit", COMMIT, "--mirror", f"{registry.host}/mine").ok()
    pinned = load(lock_file).image("cuda", "wheel").pins
    assert pinned.base.mirror == f"{registry.host}/mine/library/python@{base}"
    shutil.rmtree(registry.folder / "data/docker/registry/v2/repositories/library")
    shutil.rmtree(index / COMMIT)
    assert client.manifest("mine/library/python", base).digest == base
    (copy,) = mirror.wheels(pinned, tmp_path / "copies")
    assert copy.name == pinned.vllm.file
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == pinned.vllm.sha256
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_mirrored_wheel_with_another_hash_is_not_used(
    registry: Running, lock_file: Path, pin: Pin, tmp_path: Path
) -> None:
    push(registry.client(), "library/python", "3.12-slim")
    pin(*WHEEL, "--commit", COMMIT, "--mirror", f"{registry.host}/mine").ok()
    data = as_data(load(lock_file).image("cuda", "wheel").pins)
    data["vllm"]["sha256"] = "f" * 64
    with pytest.raises(Failed, match="has no mine/wheels/vllm"):
        list(mirror.wheels(TypeAdapter(ImageInputs).validate_python(data), tmp_path / "copies"))
    assert not [path for path in (tmp_path / "copies").rglob("*") if path.is_file()]


def test_pin_moves_the_base_to_another_repository(registry: Running, lock_file: Path, pin: Pin) -> None:
    push(registry.client(), "vllm/vllm-openai-cu129", "nightly")
    repository = f"{registry.host}/vllm/vllm-openai-cu129"
    pin(*NIGHTLY, "--base", repository, "--nightly").ok()
    assert load(lock_file).image("cuda").pins.base.repository == repository


def test_another_repository_alone_means_its_nightly(registry: Running, lock_file: Path, pin: Pin) -> None:
    digest = push(registry.client(), "vllm/vllm-openai-cu129", "nightly")
    pin(*NIGHTLY, "--base", f"{registry.host}/vllm/vllm-openai-cu129").ok()
    assert load(lock_file).image("cuda").pins.base.digest == digest


def test_pin_moves_the_base_of_a_wheel_channel_and_keeps_its_tag(
    registry: Running, lock_file: Path, pin: Pin
) -> None:
    base = push(registry.client(), "mine/python", "3.12-slim")
    pin(*WHEEL, "--base", f"{registry.host}/mine/python").ok()
    pinned = load(lock_file).image("cuda", "wheel").pins.base
    assert (pinned.reference, pinned.tag) == (f"{registry.host}/mine/python@{base}", "3.12-slim")


def test_a_dry_run_shows_the_changes_and_writes_nothing(registry: Running, lock_file: Path, pin: Pin) -> None:
    push(registry.client(), "vllm/vllm-openai", "nightly")
    before = lock_file.read_bytes()
    result = pin(*NIGHTLY, "--dry-run").json
    assert result["changes"]
    assert result["written"] is False
    assert lock_file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NIGHTLY, "has no vllm/vllm-openai/manifests/nightly"),
        ((*NIGHTLY, "--commit", COMMIT), f"nightly-{COMMIT}"),
        ((*WHEEL, "--commit", "b" * 40), "does not exist (404)"),
        ((*WHEEL, "--nightly", "--wheels", "http://127.0.0.1:9"), "does not answer"),
        ((*NIGHTLY, "--mirror", "127.0.0.1:9"), "cannot pin 'cuda'"),
    ],
)
def test_the_lock_is_unchanged_if_a_source_does_not_respond(
    registry: Running, lock_file: Path, pin: Pin, options: tuple[str, ...], message: str
) -> None:
    push(registry.client(), "library/python", "3.12-slim")
    before = contents(lock_file.parent)
    done = pin(*options)
    assert done.code == 1
    assert message in done.err
    assert "is unchanged" in done.err
    assert "Traceback" not in done.err
    assert contents(lock_file.parent) == before


def test_pin_refuses_an_answer_that_is_not_a_wheel_index(registry: Running, index: Path, pin: Pin) -> None:
    push(registry.client(), "library/python", "3.12-slim")
    (index / COMMIT / "vllm" / "metadata.json").write_text('{"oops": 1}')
    done = pin(*WHEEL, "--commit", COMMIT)
    assert done.code == 1
    assert "must be a list" in done.err


def test_pin_does_not_write_what_the_validation_refuses(registry: Running, lock_file: Path, pin: Pin) -> None:
    push(registry.client(), "vllm/vllm-openai", "v0.12.0")
    before = lock_file.read_bytes()
    done = pin(*NIGHTLY, "--version", "0.12.0")
    assert done.code == 1
    assert "0.12.0 is too old" in done.err
    assert lock_file.read_bytes() == before


def test_pin_does_not_mirror_what_the_validation_refuses(
    registry: Running, lock_file: Path, index: Path, pin: Pin
) -> None:
    push(registry.client(), "library/python", "3.12-slim")
    publish(index, COMMIT, wheel(index / COMMIT, "vllm", "0.10.0", "tinydep==1.0", TAG), "0.10.0")
    before = lock_file.read_bytes()
    done = pin(*WHEEL, "--commit", COMMIT, "--mirror", f"{registry.host}/mine")
    assert done.code == 1
    assert "vLLM 0.10.0 is too old" in done.err
    assert lock_file.read_bytes() == before
    with pytest.raises(NotFound):
        registry.client().manifest("mine/library/python", "latest")
    assert not (registry.folder / "data/docker/registry/v2/repositories/mine").exists()
