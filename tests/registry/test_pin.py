"""`invoke pin` against a real registry and a wheel index with real bytes, both on loopback."""

import hashlib
import json
import shutil

import pytest

from images.lock import lockfile, mirror
from images.lock.lockfile import load
from launch.http.client import NotFound
from tests.invocation import invoke
from tests.registry.published import OLD
from tests.registry.pushed import LAYER, push, push_list
from tests.registry.wheels import publish, served, wheel

COMMIT = "a" * 40
VERSION = "0.33.1.dev5+gaaaaaaaaa"


@pytest.fixture
def index(tmp_path):
    """A wheel index that knows one commit, and the folder of the one package its wheel needs."""
    root, links = tmp_path / "index", tmp_path / "links"
    found = wheel(root / COMMIT, "vllm", VERSION, "tinydep==1.0", "cp38-abi3-manylinux_2_35_x86_64")
    publish(root, COMMIT, found, VERSION)
    wheel(links, "tinydep", "1.0")
    with served(root) as url:
        yield url, links, found


def pin(path, index, *words):
    url, links, _ = index
    env = {"UV_FIND_LINKS": str(links), "UV_NO_INDEX": "1"}
    wheels = () if "--wheels" in words else ("--wheels", url)
    return invoke("pin", "--lock", str(path), *wheels, "--format", "json", *words, **env)


def test_a_tag_is_pinned_to_the_digest_of_this_machines_platform(registry, written, index):
    client = registry.client()
    amd = push(client, "vllm/vllm-openai", "amd", **{"org.opencontainers.image.revision": COMMIT})
    arm = push(client, "vllm/vllm-openai", "arm", LAYER + b"!")
    push_list(client, "vllm/vllm-openai", "nightly", {"arm64": arm, "amd64": amd})
    said = pin(written, index, "--platform", "cuda").json
    rows = {row["key"]: (row["old"], row["new"]) for row in said["changes"]}
    assert rows["base.digest"] == (OLD, amd)
    assert rows["vllm.commit"] == ("", COMMIT)
    pinned = load(written).platform("cuda")
    assert (pinned.base.digest, pinned.vllm.commit, pinned.vllm.version) == (amd, COMMIT, "")
    again = written.read_bytes()
    assert pin(written, index, "--platform", "cuda").json["changes"] == []
    assert written.read_bytes() == again


def test_a_commit_and_a_release_have_their_tags(registry, written, index):
    client = registry.client()
    nightly = push(client, "vllm/vllm-openai", f"nightly-{COMMIT}")
    release = push(client, "vllm/vllm-openai", "v0.33.0", LAYER + b"!")
    pin(written, index, "--platform", "cuda", "--commit", COMMIT).ok()
    assert load(written).platform("cuda").base.digest == nightly
    pin(written, index, "--platform", "cuda", "--version", "0.33.0").ok()
    assert load(written).platform("cuda").base.tag == "v0.33.0"
    assert load(written).platform("cuda").base.digest == release
    assert load(written).platform("cuda").vllm.version == "0.33.0"


def test_a_commits_wheel_is_pinned_with_its_bytes_hash_and_what_it_needs(registry, written, index):
    base = push(registry.client(), "library/python", "3.12-slim")
    pin(written, index, "--platform", "cuda-wheel", "--commit", COMMIT).ok()
    pinned = load(written).platform("cuda-wheel")
    assert pinned.base.digest == base
    assert (pinned.vllm.version, pinned.vllm.commit) == (VERSION, COMMIT)
    assert pinned.vllm.file == index[2].name
    assert pinned.vllm.sha256 == hashlib.sha256(index[2].read_bytes()).hexdigest()
    text = (written.parent / "requirements.txt").read_text()
    assert text.startswith("tinydep==1.0 \\\n    --hash=sha256:")
    assert "vllm" not in text


def test_a_mirror_survives_upstream(registry, written, index, tmp_path):
    client = registry.client()
    base = push(client, "library/python", "3.12-slim")
    words = ("--platform", "cuda-wheel", "--commit", COMMIT, "--mirror", f"{registry.host}/mine")
    pin(written, index, *words).ok()
    pinned = load(written).platform("cuda-wheel")
    assert pinned.base.mirror == f"{registry.host}/mine/library/python@{base}"
    shutil.rmtree(registry.folder / "data/docker/registry/v2/repositories/library")
    shutil.rmtree(index[2].parent)
    assert client.manifest("mine/library/python", base).digest == base
    (kept,) = mirror.wheels(pinned, tmp_path / "kept")
    assert kept.name == index[2].name
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == pinned.vllm.sha256
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]


def test_another_repository_becomes_the_base(registry, written, index):
    push(registry.client(), "vllm/vllm-openai-cu129", "nightly")
    there = f"{registry.host}/vllm/vllm-openai-cu129"
    pin(written, index, "--platform", "cuda", "--base", there, "--nightly").ok()
    assert load(written).platform("cuda").base.repository == there


def test_a_dry_run_shows_and_writes_nothing(registry, written, index):
    push(registry.client(), "vllm/vllm-openai", "nightly")
    was = written.read_bytes()
    said = pin(written, index, "--platform", "cuda", "--dry-run").json
    assert said["changes"]
    assert said["written"] is False
    assert written.read_bytes() == was


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--platform", "cuda"), "has no vllm/vllm-openai/manifests/nightly"),
        (("--platform", "cuda", "--commit", COMMIT), f"nightly-{COMMIT}"),
        (("--platform", "cuda-wheel", "--commit", "b" * 40), "does not exist (404)"),
        (("--platform", "cuda-wheel", "--nightly", "--wheels", "http://127.0.0.1:9"), "does not answer"),
        (("--platform", "cuda", "--mirror", "127.0.0.1:9"), "cannot pin 'cuda'"),
    ],
)
def test_when_anything_does_not_answer_the_lock_stays(registry, written, index, words, said):
    push(registry.client(), "library/python", "3.12-slim")
    before = {p: p.read_bytes() for p in written.parent.glob("*.*") if p.is_file()}
    done = pin(written, index, *words)
    assert done.code == 1
    assert said in done.err
    assert "is unchanged" in done.err
    assert "Traceback" not in done.err
    assert {p: p.read_bytes() for p in written.parent.glob("*.*") if p.is_file()} == before


def test_an_index_that_says_something_else_is_refused(registry, written, index, tmp_path):
    push(registry.client(), "library/python", "3.12-slim")
    (tmp_path / "index" / COMMIT / "vllm" / "metadata.json").write_text('{"oops": 1}')
    done = pin(written, index, "--platform", "cuda-wheel", "--commit", COMMIT)
    assert done.code == 1
    assert "is not what a wheel index says" in done.err


def test_a_pin_that_the_lock_would_refuse_is_not_written(registry, written, index):
    push(registry.client(), "vllm/vllm-openai", "v0.12.0")
    was = written.read_bytes()
    done = pin(written, index, "--platform", "cuda", "--version", "0.12.0")
    assert done.code == 1
    assert "0.12.0 is too old" in done.err
    assert written.read_bytes() == was


def test_a_wheel_that_the_lock_would_refuse_is_not_mirrored(registry, written, index, tmp_path):
    push(registry.client(), "library/python", "3.12-slim")
    old = wheel(
        tmp_path / "index" / COMMIT, "vllm", "0.10.0", "tinydep==1.0", "cp38-abi3-manylinux_2_35_x86_64"
    )
    publish(tmp_path / "index", COMMIT, old, "0.10.0")
    was = written.read_bytes()
    words = ("--platform", "cuda-wheel", "--commit", COMMIT, "--mirror", f"{registry.host}/mine")
    done = pin(written, index, *words)
    assert done.code == 1
    assert "vLLM 0.10.0 is too old" in done.err
    assert "done in" not in done.err
    assert written.read_bytes() == was
    with pytest.raises(NotFound):
        registry.client().manifest("mine/library/python", "latest")
    assert not (registry.folder / "data/docker/registry/v2/repositories/mine").exists()


def test_a_wheels_platform_moves_to_another_repository_too(registry, written, index):
    base = push(registry.client(), "mine/python", "3.12-slim")
    pin(written, index, "--platform", "cuda-wheel", "--base", f"{registry.host}/mine/python").ok()
    pinned = load(written).platform("cuda-wheel").base
    assert (pinned.reference, pinned.tag) == (f"{registry.host}/mine/python@{base}", "3.12-slim")


def test_another_repository_alone_means_its_newest_nightly(registry, written, index):
    digest = push(registry.client(), "vllm/vllm-openai-cu129", "nightly")
    pin(written, index, "--platform", "cuda", "--base", f"{registry.host}/vllm/vllm-openai-cu129").ok()
    assert load(written).platform("cuda").base.digest == digest


def test_the_mirror_of_another_wheel_is_not_taken(registry, written, index, tmp_path):
    push(registry.client(), "library/python", "3.12-slim")
    words = ("--platform", "cuda-wheel", "--commit", COMMIT, "--mirror", f"{registry.host}/mine")
    pin(written, index, *words).ok()
    pinned = load(written).platform("cuda-wheel")
    data = json.loads(pinned.model_dump_json())
    data["vllm"]["sha256"] = "f" * 64
    with pytest.raises(Exception, match="has no mine/wheels/vllm"):
        list(mirror.wheels(lockfile.Platform.model_validate(data), tmp_path / "kept"))
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
