"""Invalid locks are refused with the key and the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from errors import Failed, Refused
from images.lock import lockfile, writer
from images.lock.lockfile import LOCK

DIGEST = "sha256:" + "a" * 64
LOCKED: dict[str, Any] = {
    "schema": 2,
    "platforms": {
        "rocm": {
            "nightly": {
                "base": {
                    "repository": "r/vllm",
                    "tag": "nightly",
                    "digest": DIGEST,
                    "source": "the registry",
                },
                "vllm": {"version": "0.21.0", "source": "inside the base"},
                "python": {"version": "3.12"},
            }
        },
        "cuda": {
            "stable": {
                "base": {
                    "repository": "r/vllm",
                    "tag": "v0.33.0",
                    "digest": DIGEST,
                    "source": "the registry",
                },
                "vllm": {"version": "0.33.0", "source": "inside the base"},
                "python": {"version": "3.12"},
            },
            "wheel": {
                "dockerfile": "cuda/wheel.Dockerfile",
                "base": {"repository": "r/python", "digest": DIGEST, "source": "the registry"},
                "vllm": {
                    "package": "vllm",
                    "version": "0.33.0",
                    "wheel": "https://wheels/vllm-0.33.0%2Bcu130-cp38-abi3-linux_x86_64.whl",
                    "sha256": "b" * 64,
                    "source": "the index",
                },
                "python": {"requirements": "requirements.txt", "sha256": ""},
            },
        },
    },
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a valid lock with one changed key: `write("rocm.nightly.base.tag", "v1")`."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch==2.13.0 \\\n    --hash=sha256:" + "c" * 64 + "\n")

    def write(key: str = "", value: object = None, requirement: str = "") -> Path:
        if requirement:
            requirements.write_text(requirement)
        data = deepcopy(LOCKED)
        python = data["platforms"]["cuda"]["wheel"]["python"]
        python["sha256"] = hashlib.sha256(requirements.read_bytes()).hexdigest()
        *parents, last = key.split(".")
        place = data["platforms"]
        for parent in parents:
            place = place[parent]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
        path = tmp_path / "lock.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(Refused) as refused:
        lockfile.load(path)
    return f"{refused.value.what} {refused.value.why}"


def test_load_accepts_a_valid_lock(write: Write) -> None:
    assert lockfile.load(write()).image("rocm").pins.base.reference == f"r/vllm@{DIGEST}"


def test_slipways_lock_is_valid_and_formatted_as_pin_writes_it() -> None:
    assert writer.render(lockfile.load()) == LOCK.read_text()


def test_every_pin_of_slipways_lock_names_its_source() -> None:
    for image in lockfile.load().images():
        assert image.pins.base.source
        assert image.pins.vllm.source


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rocm.nightly.base.digest", None, "rocm.nightly.base.digest: is missing; a tag alone is not a pin"),
        (
            "rocm.nightly.base.digest",
            "sha256:abc",
            "rocm.nightly.base.digest: must be sha256: and 64 hex digits, not",
        ),
        ("rocm.nightly.base.digest", DIGEST + "a", "64 hex digits"),
        ("rocm.nightly.base.source", None, "rocm.nightly.base.source: is missing"),
        ("rocm.nightly.base", "r/vllm@" + DIGEST, "rocm.nightly.base: must be a mapping"),
        ("rocm.nightly.base.colour", "red", "rocm.nightly.base.colour: unknown key"),
        ("rocm.nightly.vllm.commit", "cf3eacfe", "rocm.nightly.vllm.commit: must be 40 hex digits"),
        ("rocm.nightly.vllm.version", "0.12.0", "0.12.0 is too old: MiniMax-M2 needs 0.13.0"),
        ("rocm.nightly.vllm.version", "0.11.2+rocm700", "is too old"),
        ("rocm.nightly.python.version", "3.11", "Python 3.12 (python.version is 3.11)"),
        ("rocm.nightly.python.version", None, "python.version is missing"),
        ("rocm.nightly.python.version", "three", "rocm.nightly.python.version"),
        (
            "rocm.nightly.python.wheels",
            {"torch-2.9.0+cu130-cp312-cp312-linux_x86_64.whl": "d" * 64},
            "not a ROCm",
        ),
        ("rocm.nightly.python.wheels", {"torch-2.9.0-cp312-cp312-linux_x86_64.whl": "d" * 64}, "not a ROCm"),
        ("rocm.nightly.python.wheels", {"torch-2.9.0+rocm7-cp312-cp312-linux_x86_64.whl": "short"}, "wheels"),
        ("cuda.wheel.vllm.sha256", "", "0.33.0+cu130-cp38-abi3-linux_x86_64.whl has no sha256"),
        ("cuda.wheel.python.version", "3.7", "linux_x86_64.whl does not support Python 3.7"),
        ("cuda.wheel.python.requirements", ".", "cannot be read"),
        ("cuda.wheel.vllm.version", "0.19.1", "does not include DeepGEMM"),
        ("cuda.wheel.python.requirements", "gone.txt", "gone.txt is missing"),
        ("cuda.wheel.python.sha256", "e" * 64, "is not the file that lock.yaml pins"),
    ],
)
def test_load_refuses_an_invalid_value(write: Write, key: str, value: object, message: str) -> None:
    assert message in refusal(write(key, value))


@pytest.mark.parametrize(
    ("commit", "message"),
    [
        ("2918c1b49c88c29783c86f78d2c4221cb9622379", "existed on 2025-11-21: too old"),
        ("b8b302cde434df8c9289a2b465406b47ebab1c2d", "vLLM 0.11.0 is too old"),
    ],
)
def test_load_refuses_an_old_commit_without_a_version(write: Write, commit: str, message: str) -> None:
    assert message in refusal(write("rocm.nightly.vllm", {"commit": commit, "source": "upstream"}))


@pytest.mark.parametrize("commit", ["cf3eacfe58fa9e745c2854782ada884a9f992cf7", "1" * 40])
def test_load_accepts_the_minimum_and_an_unknown_commit(write: Write, commit: str) -> None:
    lock = lockfile.load(write("rocm.nightly.vllm", {"commit": commit, "source": "upstream"}))
    assert lock.image("rocm").pins.vllm.commit == commit


def test_load_accepts_a_development_version_before_the_minimum(write: Write) -> None:
    version = "0.12.1.dev40+gcf3eacfe5"
    assert (
        lockfile.load(write("rocm.nightly.vllm.version", version)).image("rocm").pins.vllm.version == version
    )


def test_load_refuses_a_requirement_without_a_hash(write: Write) -> None:
    path = write("rocm.nightly.base.tag", "v1", requirement="torch==2.13.0\n")
    assert "torch==2.13.0 has no hash" in refusal(path)


def test_load_refuses_a_rocm_wheel_for_another_python(write: Write) -> None:
    """For any other Python, vLLM's index returns the CUDA wheel, and its name would not show that."""
    wheel = {"package": "vllm", "version": "0.33.0", "sha256": "b" * 64, "source": "the index"}
    url = "https://wheels/vllm-0.33.0%2Brocm722-cp312-cp312-manylinux_2_35_x86_64.whl"
    lockfile.load(write("rocm.nightly.vllm", {**wheel, "wheel": url}))
    other = write("rocm.nightly.vllm", {**wheel, "wheel": url.replace("cp312", "cp313")})
    assert "cp313-cp313-manylinux_2_35_x86_64.whl does not support Python 3.12" in refusal(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"just words", "the document: must be a mapping"),
        (b"", "the document: must be a mapping"),
        (b"schema: 3\nplatforms: {}\n", "schema: must be 2, not '3'"),
    ],
)
def test_load_refuses_a_file_that_is_not_a_lock_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "lock.yaml"
    path.write_bytes(content)
    assert message in refusal(path)
    assert "\n" not in refusal(path)


def test_load_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "is missing" in refusal(tmp_path / "lock.yaml")
    assert "cannot read" in refusal(tmp_path)
    assert "Is a directory" in refusal(tmp_path)


def test_refuse_installed_protects_only_the_lock_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "images" / "lock.yaml"
    monkeypatch.setattr(lockfile, "LOCK", package)
    lockfile.refuse_installed(tmp_path / "images" / "lock.yaml")
    with pytest.raises(Refused, match="installed Slipway") as refused:
        lockfile.refuse_installed(package)
    assert f"cp -r {package.parent} images" in refused.value.fix
    (package.parents[1]).mkdir(parents=True)
    (package.parents[1] / "pyproject.toml").touch()
    lockfile.refuse_installed(package)


def test_load_refuses_schema_1_and_says_how_to_change_it(write: Write) -> None:
    path = write()
    path.write_text(path.read_text().replace("schema: 2", "schema: 1"))
    with pytest.raises(Refused, match="has schema 1") as refused:
        lockfile.load(path)
    assert "below `stable:`" in refused.value.fix


@pytest.mark.parametrize(
    ("platforms", "message"),
    [
        ({"tpu": {"stable": {}}}, "platforms.tpu: must be 'cpu', 'rocm' or 'cuda'"),
        ({"cuda": {}}, "platforms.cuda: must not be empty"),
        ({"cuda": {"Night Shift": {}}}, "platforms.cuda.Night Shift: must be a name of up to 20"),
        ({"cuda": {"base": {}, "vllm": {}}}, "platforms.cuda.base.base: is missing"),
    ],
)
def test_load_refuses_an_unknown_platform_and_a_wrong_channel_name(
    tmp_path: Path, platforms: dict[str, Any], message: str
) -> None:
    path = tmp_path / "lock.yaml"
    path.write_text(yaml.safe_dump({"schema": 2, "platforms": platforms}))
    assert message in refusal(path)


def test_image_takes_the_first_channel_by_default_and_names_the_others(write: Write) -> None:
    lock = lockfile.load(write())
    default, wheel = lock.image("cuda"), lock.image("cuda", "wheel")
    assert (default.channel, default.name, default.options) == ("stable", "cuda", "--platform cuda")
    assert default.pin_options == "--platform cuda --channel stable"
    assert (wheel.channel, wheel.name) == ("wheel", "cuda-wheel")
    assert (wheel.options, wheel.dockerfile) == ("--platform cuda --channel wheel", "cuda/wheel.Dockerfile")
    assert [image.name for image in lock.images()] == ["rocm", "cuda", "cuda-wheel"]
    assert lock.image("rocm").pin_options == "--platform rocm"
    assert lock.image("cuda", "stable") == default


def test_image_refuses_an_unknown_channel_and_names_the_nearest(write: Write) -> None:
    with pytest.raises(Refused, match=r"unknown cuda channel 'weel'\. Did you mean `wheel`"):
        lockfile.load(write()).image("cuda", "weel")


def test_image_refuses_a_channel_given_as_a_platform_and_shows_both_options(write: Write) -> None:
    with pytest.raises(Refused, match="unknown platform 'cuda-wheel'") as refused:
        lockfile.load(write()).image("cuda-wheel")
    assert refused.value.fix == "--platform cuda --channel wheel"


def test_with_pins_changes_only_the_named_images(write: Write) -> None:
    lock = lockfile.load(write())
    other = lock.image("rocm").pins
    changed = lock.with_pins({("cuda", "wheel"): other})
    assert changed.image("cuda", "wheel").pins == other
    assert changed.image("cuda") == lock.image("cuda")
    assert list(changed.platforms["cuda"]) == ["stable", "wheel"]


def test_image_refuses_an_unknown_platform_and_lists_the_known_ones(write: Write) -> None:
    with pytest.raises(Refused, match="unknown platform 'rocn'") as refused:
        lockfile.load(write()).image("rocn")
    assert "rocm" in str(refused.value)


def test_digest_changes_with_inputs_but_not_with_sources_and_mirrors(write: Write) -> None:
    original = lockfile.load(write()).image("rocm").pins.digest
    assert (
        lockfile.load(write("rocm.nightly.base.source", "another page")).image("rocm").pins.digest == original
    )
    assert (
        lockfile.load(write("rocm.nightly.base.mirror", f"here/x@{DIGEST}")).image("rocm").pins.digest
        == original
    )
    assert lockfile.load(write("rocm.nightly.base.tag", "v2")).image("rocm").pins.digest != original


def test_references_lists_the_mirror_first(write: Write) -> None:
    base = lockfile.load(write("rocm.nightly.base.mirror", f"here/x@{DIGEST}")).image("rocm").pins.base
    assert base.references == (f"here/x@{DIGEST}", f"r/vllm@{DIGEST}")


def test_write_leaves_an_unchanged_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock.yaml"
    writer.write({path: "one\n"})
    before = path.stat()
    writer.write({path: "one\n"})
    assert path.stat() == before
    assert [file.name for file in tmp_path.iterdir()] == ["lock.yaml"]


def test_write_changes_no_file_if_one_cannot_be_written(tmp_path: Path) -> None:
    lock, blocked = tmp_path / "lock.yaml", tmp_path / "file" / "requirements.txt"
    lock.write_text("old\n")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Failed, match="it is unchanged"):
        writer.write({lock: "new\n", blocked: "new\n"})
    assert lock.read_text() == "old\n"
    assert {file.name for file in tmp_path.iterdir()} == {"lock.yaml", "file"}
