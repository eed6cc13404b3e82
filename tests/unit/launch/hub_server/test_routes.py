from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.hub_server.listing import PAGE
from launch.hub_server.repository import Repository, ServedFile, ServedModel
from launch.hub_server.routes import Answer, Request, ServedHub, Slice

LARGE = ServedFile("model.safetensors", Path("/served/m"), 1000, "a" * 40, "b" * 64)
SMALL = ServedFile("config.json", Path("/served/c"), 10, "c" * 40, "d" * 64)
FRIGATE = Repository("harbour/frigate", (SMALL, LARGE))
HUB = ServedHub({"harbour/frigate": ServedModel.single(FRIGATE)}.get, "http://storage:1/storage")
RESOLVE = f"/harbour/frigate/resolve/{FRIGATE.commit}"


def answer_to(target: str, hub: ServedHub = HUB, **headers: str) -> Answer:
    return hub.answer(Request("GET", target, {"host": "hub:1", **headers}))


def test_resolve_redirects_to_the_storage_for_a_large_file() -> None:
    answer = answer_to(f"{RESOLVE}/model.safetensors")
    assert answer.status == 302
    assert answer.headers == {
        "X-Repo-Commit": FRIGATE.commit,
        "X-Linked-Size": "1000",
        "X-Linked-Etag": f'"{LARGE.sha256}"',
        "ETag": f'"{LARGE.sha256}"',
        "Location": f"http://storage:1/storage/harbour/frigate/{LARGE.sha256}/model.safetensors",
    }


def test_resolve_sends_a_large_file_itself_if_there_is_no_other_storage() -> None:
    hub = ServedHub({"harbour/frigate": ServedModel.single(FRIGATE)}.get)
    answer = answer_to(f"{RESOLVE}/model.safetensors", hub)
    assert (answer.status, answer.headers["ETag"]) == (200, f'"{LARGE.sha256}"')
    assert answer.body == Slice(LARGE.at, 0, 1000)


@pytest.mark.parametrize(("proxy", "scheme"), [({}, "http"), ({"x-forwarded-proto": "https"}, "https")])
def test_the_next_page_is_at_the_address_that_the_client_uses(proxy: dict[str, str], scheme: str) -> None:
    assert Request("GET", "/x", {"host": "hub:1", **proxy}).base == f"{scheme}://hub:1"


def test_resolve_sends_a_small_file_with_gits_hash() -> None:
    answer = answer_to("/harbour/frigate/resolve/main/config.json")
    assert (answer.status, answer.headers["ETag"]) == (200, f'"{SMALL.blob_id}"')
    assert answer.body == Slice(SMALL.at, 0, 10)


@pytest.mark.parametrize(
    ("range_header", "status", "first", "last"),
    [("bytes=0-99", 206, 0, 100), ("bytes=900-", 206, 900, 1000), ("bytes=990-5000", 206, 990, 1000)],
)
def test_ranges_are_sent_in_part(range_header: str, status: int, first: int, last: int) -> None:
    answer = answer_to(f"/storage/harbour/frigate/{LARGE.sha256}/model.safetensors", range=range_header)
    assert (answer.status, answer.body) == (status, Slice(LARGE.at, first, last))
    assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/1000"


@pytest.mark.parametrize(
    "range_header", ["bytes=1000-", "bytes=9-3", "bytes=-5", "lines=1-2", "bytes=1-2,5-6"]
)
def test_invalid_ranges_are_not_satisfiable(range_header: str) -> None:
    answer = answer_to(f"/storage/harbour/frigate/{LARGE.sha256}/model.safetensors", range=range_header)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000")


def test_tree_has_pages() -> None:
    files = tuple(ServedFile(f"{n:05d}.txt", Path("/x"), 1, "a" * 40, "b" * 64) for n in range(PAGE + 5))
    hub = ServedHub({"harbour/fleet": ServedModel.single(Repository("harbour/fleet", files))}.get, "")
    first = answer_to("/api/models/harbour/fleet/tree/main?recursive=true", hub)
    address = f"http://hub:1/api/models/harbour/fleet/tree/main?recursive=true&cursor={PAGE}"
    assert first.headers["Link"] == f'<{address}>; rel="next"'
    second = answer_to(address.removeprefix("http://hub:1"), hub)
    assert "Link" not in second.headers
    pages = [json.loads(answer.body) for answer in (first, second) if isinstance(answer.body, bytes)]
    assert [entry["path"] for page in pages for entry in page] == [file.path for file in files]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/models/harbour/nothing", 404, "RepoNotFound"),
        ("/api/models/harbour/frigate/revision/v9", 404, "RevisionNotFound"),
        (f"{RESOLVE}/nothing.txt", 404, "EntryNotFound"),
        (f"{RESOLVE}/../../etc/passwd", 404, "EntryNotFound"),
        ("/nothing", 404, "EntryNotFound"),
    ],
)
def test_missing_things_have_the_hubs_error_codes(target: str, status: int, code: str) -> None:
    answer = answer_to(target)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)


def test_every_route_but_the_storage_requires_the_token() -> None:
    hub = ServedHub(
        {"harbour/frigate": ServedModel.single(FRIGATE)}.get, "http://storage:1/storage", token="t"
    )
    for target in ("/api/models/harbour/frigate", f"{RESOLVE}/config.json", "/api/whoami-v2"):
        assert answer_to(target, hub).status == 401
        assert answer_to(target, hub, authorization="Bearer t").status == 200
    assert answer_to(f"/storage/harbour/frigate/{LARGE.sha256}/model.safetensors", hub).status == 200
