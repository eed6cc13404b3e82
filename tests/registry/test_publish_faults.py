"""Publishing that fails or is overtaken by another publisher: no tag names an incomplete image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from errors import Failed, Refused
from images.publish import publish
from images.publish import push as publish_push
from images.publish.publish import PublishRequest
from images.registry.client import Registry
from launch import paths
from tests.registry.hostile import Reply, replying
from tests.registry.published import TAGS, existing, ignore
from tests.registry.pushed import LAYER, push
from tests.registry.serving import PASSWORD, Running, running

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.engine
Request = Callable[..., PublishRequest]
REPOSITORY = "slipway/vllm"


def test_publish_refuses_an_untested_image(
    engine: DockerClient, registry: Running, publish_request: Request, tmp_path: Path
) -> None:
    request = publish_request(registry.host)
    for record in (tmp_path / "tested").iterdir():
        record.unlink()
    with pytest.raises(Refused, match="was not tested"):
        publish.publish(engine, request, ignore)
    assert existing(registry.client()) == []


def test_a_wrong_password_publishes_nothing(
    engine: DockerClient,
    locked_registry: Running,
    publish_request: Request,
    logged_in: Callable[..., None],
) -> None:
    logged_in(locked_registry.host, "wrong-password")
    url = f"https://{locked_registry.host}"
    with pytest.raises(Failed) as failed:
        publish.publish(
            engine, publish_request(locked_registry.host, urls={locked_registry.host: url}), ignore
        )
    assert "docker login" in failed.value.fix
    assert "wrong-password" not in str(failed.value)
    assert existing(locked_registry.client(PASSWORD, url)) == []


@pytest.mark.slow  # the engine tries five times, 50 s in all
def test_publish_fails_if_the_registry_stops_during_the_push(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    def stop_registry(done: float, total: float | None, note: str) -> None:
        if "Pushing" in note:
            registry.stop()

    with pytest.raises(Failed, match="the push failed"):
        publish.publish(engine, publish_request(registry.host, size=30_000_000), stop_registry)


def test_publish_fails_if_the_registry_stops_after_the_push(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    def stop_registry(done: float, total: float | None, note: str) -> None:
        if note == "verifying the published image":
            registry.stop()

    with pytest.raises(Failed, match="does not answer"):
        publish.publish(engine, publish_request(registry.host), stop_registry)


@pytest.mark.slow  # as above
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_publish_fails_if_the_disk_of_the_registry_is_full(
    engine: DockerClient, binary: str, publish_request: Request, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this host does not allow mounts")
    try:
        with running(binary, small) as full:
            with pytest.raises(Failed, match=r"push failed|without a digest"):
                publish.publish(engine, publish_request(full.host, size=8_000_000), ignore)
            assert existing(full.client()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    ("records", "message", "fix"),
    [
        (
            [{"status": "Pushing"}, {"error": "denied: 401 unauthorized"}],
            "the push failed",
            "docker login to that registry",
        ),
        ([{"error": "no space left"}], "the push failed", "free disk space in the registry"),
        ([{"error": "EOF"}], "the push failed", "publish again: layers that were sent are not sent again"),
        ([{"status": "Pushed"}], "without a digest", "check the registry's log, then publish again"),
    ],
)
def test_push_explains_a_failure(records: list[dict[str, str]], message: str, fix: str) -> None:
    images = SimpleNamespace(remove=lambda *args, **kwargs: None)
    engine: Any = SimpleNamespace(api=SimpleNamespace(push=lambda *a, **k: records), images=images)
    image: Any = SimpleNamespace(tag=lambda *args: True)
    with pytest.raises(Failed, match=message) as failed:
        publish_push.push(engine, image, "127.0.0.1:9", REPOSITORY, "cpu", ignore)
    assert failed.value.fix == fix


def test_three_publishers_at_once_push_once_and_leave_no_lock_file(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    """They share the temporary tag, which the first to finish would remove for the others."""
    request = publish_request(registry.host)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: publish.publish(engine, request, ignore), range(3)))
    assert sorted(one.pushed for one in done) == [False, False, True]
    assert {one.digest for one in done} == {done[0].digest}
    assert engine.images.get(request.image).tags == [request.image]
    assert list(paths.state_dir().glob("publish-*")) == []


def test_publish_refuses_a_server_that_is_not_a_registry(
    engine: DockerClient, publish_request: Request
) -> None:
    with replying({"*": Reply(b"<html>")}) as url, pytest.raises(Failed, match="image manifest"):
        publish.publish(engine, publish_request(url.removeprefix("http://")), ignore)


def test_publish_fails_if_another_publisher_was_first(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    """Between the first check and the tags, another image of the same inputs is published."""
    client = registry.client()

    def publish_other(done: float, total: float | None, note: str) -> None:
        if note == "verifying the published image":
            push(client, REPOSITORY, TAGS[0], LAYER)

    with pytest.raises(Failed, match="another publisher was first"):
        publish.publish(engine, publish_request(registry.host), publish_other)
    assert existing(client) == [TAGS[0]]


def test_publish_notices_that_a_tag_was_moved(
    engine: DockerClient, registry: Running, publish_request: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, put = registry.client(), Registry.put_manifest

    def put_and_move(self: Registry, repository: str, reference: str, raw: bytes, media_type: str) -> str:
        digest = put(self, repository, reference, raw, media_type)
        if reference == TAGS[1]:
            monkeypatch.setattr(Registry, "put_manifest", put)
            push(client, REPOSITORY, TAGS[1], LAYER)
        return digest

    monkeypatch.setattr(Registry, "put_manifest", put_and_move)
    with pytest.raises(Failed, match="another publisher moved"):
        publish.publish(engine, publish_request(registry.host), ignore)
    assert "rocm-candidate" not in existing(client)


def test_publish_again_notices_a_missing_layer(
    engine: DockerClient, registry: Running, publish_request: Request
) -> None:
    request = publish_request(registry.host)
    done = publish.publish(engine, request, ignore)
    layer = registry.client().manifest(REPOSITORY, done.digest).json["layers"][0]["digest"].split(":")[1]
    for link in registry.folder.glob(f"data/docker/registry/v2/repositories/*/*/_layers/sha256/{layer}/link"):
        link.unlink()
    for data in registry.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{layer}/data"):
        data.unlink()
    with pytest.raises(Failed, match="lacks blob"):
        publish.publish(engine, request, ignore)
