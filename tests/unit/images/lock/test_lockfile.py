"""A lock that is no pin is refused, with the key and the reason."""

import hashlib
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from errors import Refused
from images.lock import lockfile, writer
from images.lock.lockfile import LOCK

DIGEST = "sha256:" + "a" * 64
LOCKED = {
    "schema": 1,
    "platforms": {
        "rocm": {
            "base": {"repository": "r/vllm", "tag": "nightly", "digest": DIGEST, "source": "seen"},
            "vllm": {"version": "0.21.0", "source": "inside the base"},
            "python": {"version": "3.12"},
        },
        "cuda-wheel": {
            "base": {"repository": "r/python", "digest": DIGEST, "source": "seen"},
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
}


@pytest.fixture
def written(tmp_path):
    """Write a lock that differs from a good one in one key: `written("rocm.base.tag", "v1")`."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch==2.13.0 \\\n    --hash=sha256:" + "c" * 64 + "\n")

    def write(key: str = "", value: object = None, requirement: str = "") -> Path:
        if requirement:
            requirements.write_text(requirement)
        data = deepcopy(LOCKED)
        python = data["platforms"]["cuda-wheel"]["python"]
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
        path.write_text(yaml.safe_dump(data))
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(Refused) as refused:
        lockfile.load(path)
    return f"{refused.value.what} {refused.value.why}"


def test_the_good_one_loads(written):
    assert lockfile.load(written()).platform("rocm").base.reference == f"r/vllm@{DIGEST}"


def test_ours_loads_and_is_written_as_pin_would_write_it():
    assert writer.render(lockfile.load()) == LOCK.read_text()


def test_each_pin_of_ours_says_where_it_was_read():
    for platform in lockfile.load().platforms.values():
        assert platform.base.source
        assert platform.vllm.source


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rocm.base.digest", None, "a tag without a digest is no pin"),
        ("rocm.base.digest", "sha256:abc", "rocm.base.digest: sha256: and 64 hex digits are wanted, not"),
        ("rocm.base.digest", DIGEST + "a", "64 hex digits are wanted"),
        ("rocm.base.source", None, "rocm.base.source: is missing"),
        ("rocm.base", "r/vllm@" + DIGEST, "rocm.base: names and values are wanted"),
        ("rocm.base.colour", "red", "rocm.base.colour: no such key is known"),
        ("rocm.vllm.commit", "cf3eacfe", "rocm.vllm.commit: all 40 hex digits are wanted"),
        ("rocm.vllm.version", "0.12.0", "0.12.0 is too old: MiniMax-M2 needs 0.13.0"),
        ("rocm.vllm.version", "0.11.2+rocm700", "is too old"),
        ("rocm.python.version", "3.11", "Python 3.12, not 3.11"),
        ("rocm.python.version", None, "not unsaid"),
        ("rocm.python.version", "three", "rocm.python.version"),
        ("rocm.python.wheels", {"torch-2.9.0+cu130-cp312-cp312-linux_x86_64.whl": "d" * 64}, "not a ROCm"),
        ("rocm.python.wheels", {"torch-2.9.0-cp312-cp312-linux_x86_64.whl": "d" * 64}, "not a ROCm"),
        ("rocm.python.wheels", {"torch-2.9.0+rocm7-cp312-cp312-linux_x86_64.whl": "short"}, "wheels"),
        ("cuda-wheel.vllm.sha256", "", "0.33.0+cu130-cp38-abi3-linux_x86_64.whl has no sha256"),
        ("cuda-wheel.python.version", "3.7", "linux_x86_64.whl is not for Python 3.7"),
        ("cuda-wheel.python.requirements", ".", "cannot be read"),
        ("cuda-wheel.vllm.version", "0.19.1", "does not carry DeepGEMM"),
        ("cuda-wheel.python.requirements", "gone.txt", "gone.txt is missing"),
        ("cuda-wheel.python.sha256", "e" * 64, "is not the file that lock.yaml pins"),
    ],
)
def test_what_is_no_pin_is_refused(written, key, value, said):
    assert said in refusal(written(key, value))


def test_an_old_commit_is_refused_without_its_version(written):
    path = written("rocm.vllm", {"commit": "2918c1b49c88c29783c86f78d2c4221cb9622379", "source": "seen"})
    assert "was there on 2025-11-21: too old" in refusal(path)


def test_the_commit_of_an_old_release_is_refused(written):
    path = written("rocm.vllm", {"commit": "b8b302cde434df8c9289a2b465406b47ebab1c2d", "source": "seen"})
    assert "vLLM 0.11.0 is too old" in refusal(path)


def test_the_minimum_itself_and_an_unknown_commit_pass(written):
    for commit in ("cf3eacfe58fa9e745c2854782ada884a9f992cf7", "1" * 40):
        lockfile.load(written("rocm.vllm", {"commit": commit, "source": "seen"}))


def test_a_development_version_before_the_release_may_contain_it(written):
    lockfile.load(written("rocm.vllm.version", "0.12.1.dev40+gcf3eacfe5"))


def test_a_requirement_without_a_hash_is_refused(written):
    path = written("rocm.base.tag", "v1", requirement="torch==2.13.0\n")
    assert "torch==2.13.0 has no hash" in refusal(path)


def test_a_rocm_wheel_of_another_python_is_refused(written):
    """Its index has the CUDA wheel for every other Python, and a name alone would not tell."""
    wheel = {"package": "vllm", "version": "0.33.0", "sha256": "b" * 64, "source": "the index"}
    right = "https://wheels/vllm-0.33.0%2Brocm722-cp312-cp312-manylinux_2_35_x86_64.whl"
    lockfile.load(written("rocm.vllm", {**wheel, "wheel": right}))
    other = written("rocm.vllm", {**wheel, "wheel": right.replace("cp312", "cp313")})
    assert "cp313-cp313-manylinux_2_35_x86_64.whl is not for Python 3.12" in refusal(other)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"just words", "the whole file: names and values are wanted"),
        (b"", "the whole file: names and values are wanted"),
        (b"schema: 2\nplatforms: {}\n", "schema: 1 is wanted, not '2'"),
    ],
)
def test_what_is_no_lock_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "lock.yaml"
    path.write_bytes(content)
    assert said in refusal(path)
    assert "\n" not in refusal(path)


def test_what_is_not_there_and_what_is_no_file(tmp_path):
    assert "is missing" in refusal(tmp_path / "lock.yaml")
    assert "cannot be read Is a directory" in refusal(tmp_path)


def test_an_unknown_platform_lists_the_known(written):
    with pytest.raises(Refused, match="unknown platform 'rocn'") as refused:
        lockfile.load(written()).platform("rocn")
    assert "rocm" in refused.value.fix


def test_the_digest_follows_the_inputs_and_not_their_sources(written):
    was = lockfile.load(written()).platform("rocm").digest
    assert lockfile.load(written("rocm.base.source", "read again")).platform("rocm").digest == was
    assert lockfile.load(written("rocm.base.mirror", f"here/x@{DIGEST}")).platform("rocm").digest == was
    assert lockfile.load(written("rocm.base.tag", "v2")).platform("rocm").digest != was


def test_a_mirror_is_asked_before_upstream(written):
    base = lockfile.load(written("rocm.base.mirror", f"here/x@{DIGEST}")).platform("rocm").base
    assert base.references == (f"here/x@{DIGEST}", f"r/vllm@{DIGEST}")


def test_writing_what_is_there_already_touches_nothing(tmp_path):
    path = tmp_path / "lock.yaml"
    writer.write({path: "one\n"})
    was = path.stat()
    writer.write({path: "one\n"})
    assert path.stat().st_mtime_ns == was.st_mtime_ns
    assert [p.name for p in tmp_path.iterdir()] == ["lock.yaml"]
