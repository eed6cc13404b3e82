"""Publishing goes wrong: refused, cut off, run full, overtaken. No tag points to something half said."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from errors import Failed, Refused
from images.publish import publish
from images.publish import push as publish_push
from images.registry.client import Registry
from tests.registry.hostile import Says, answering
from tests.registry.published import TAGS, left, quiet
from tests.registry.pushed import LAYER, push
from tests.registry.serving import PASSWORD, running

pytestmark = pytest.mark.engine


def test_an_untested_image_is_refused(engine, registry, order, tmp_path):
    asked = order(registry.host)
    for record in (tmp_path / "tested").iterdir():
        record.unlink()
    with pytest.raises(Refused, match="was not tested"):
        publish.publish(engine, asked, quiet)
    assert left(registry.client()) == []


def test_a_wrong_password_publishes_nothing(engine, locked_registry, order, logged_in):
    logged_in(locked_registry.host, "wrong")
    url = f"https://{locked_registry.host}"
    with pytest.raises(Failed) as failed:
        publish.publish(engine, order(locked_registry.host, urls={locked_registry.host: url}), quiet)
    assert "docker login" in failed.value.fix
    assert "wrong" not in str(failed.value).replace("request was wrong", "")
    assert left(locked_registry.client(PASSWORD, url)) == []


@pytest.mark.slow  # the engine tries five times, 50 s in all
def test_a_registry_that_goes_away_in_the_middle(engine, registry, order, monkeypatch):
    def gone(done, total, note):
        if "Pushing" in note:
            registry.stop()

    with pytest.raises(Failed):
        publish.publish(engine, order(registry.host, size=30_000_000), gone)


def test_a_registry_that_goes_away_after_the_push(engine, registry, order):
    def gone(done, total, note):
        if note == "reading it back":
            registry.stop()

    with pytest.raises(Failed, match="does not answer"):
        publish.publish(engine, order(registry.host), gone)


@pytest.mark.slow  # the same
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_registry_whose_disk_is_full(engine, binary, order, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this host lets nobody mount a tmpfs")
    try:
        with running(binary, small) as full:
            with pytest.raises(Failed, match=r"push failed|without a digest"):
                publish.publish(engine, order(full.host, size=8_000_000), quiet)
            assert left(full.client()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_error_record_in_the_stream_is_a_failure():
    with pytest.raises(Failed, match="push failed") as failed:
        publish_push.digest([{"status": "Pushing"}, {"error": "denied: 401 unauthorized"}], quiet)
    assert failed.value.fix == "docker login to that registry"
    with pytest.raises(Failed, match="without a digest"):
        publish_push.digest([{"status": "Pushed"}], quiet)


def test_three_at_once_on_one_engine_send_it_once(engine, registry, order):
    """They would share the staging name, and the first to end would take it from the others."""
    asked = order(registry.host)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: publish.publish(engine, asked, quiet), range(3)))
    assert sorted(one.pushed for one in done) == [False, False, True]
    assert {one.digest for one in done} == {done[0].digest}
    assert engine.images.get(asked.image).tags == [asked.image]


def test_a_web_server_is_no_registry(engine, order):
    with answering({"*": Says(b"<html>")}) as url, pytest.raises(Failed, match="is no image manifest"):
        publish.publish(engine, order(url.removeprefix("http://")), quiet)


def test_who_comes_second_with_another_image_says_so(engine, registry, order):
    """Between the first look and the tags, somebody else published from the same inputs."""
    client = registry.client()

    def other(done, total, note):
        if note == "reading it back":
            push(client, "slipway/vllm", TAGS[0], LAYER)

    with pytest.raises(Failed, match="another publisher was first"):
        publish.publish(engine, order(registry.host), other)
    assert left(client) == [TAGS[0]]


def test_a_tag_that_is_moved_at_once_is_noticed(engine, registry, order, monkeypatch):
    client, put = registry.client(), Registry.put_manifest

    def raced(self, repository, reference, raw, media_type):
        digest = put(self, repository, reference, raw, media_type)
        if reference == TAGS[1]:
            monkeypatch.setattr(Registry, "put_manifest", put)
            push(client, "slipway/vllm", TAGS[1], LAYER)
        return digest

    monkeypatch.setattr(Registry, "put_manifest", raced)
    with pytest.raises(Failed, match="was moved by another publisher"):
        publish.publish(engine, order(registry.host), quiet)
    assert "rocm-candidate" not in left(client)


def test_a_published_image_that_lost_a_layer_is_found(engine, registry, order):
    asked = order(registry.host)
    done = publish.publish(engine, asked, quiet)
    layer = registry.client().manifest("slipway/vllm", done.digest).json["layers"][0]["digest"].split(":")[1]
    for link in registry.folder.glob(f"data/docker/registry/v2/repositories/*/*/_layers/sha256/{layer}/link"):
        link.unlink()
    for data in registry.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{layer}/data"):
        data.unlink()
    with pytest.raises(Failed, match="lacks blob"):
        publish.publish(engine, asked, quiet)
