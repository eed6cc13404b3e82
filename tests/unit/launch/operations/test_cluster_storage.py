"""Where a cluster gets the weights of a plan from, by the user's options and by what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Refused
from launch.deploy.object_options import ObjectOptions
from launch.deploy.storage import Storage
from launch.operations.cluster_storage import storage_of
from launch.operations.weights_place import WeightsPlace
from launch.spec.plan import Plan
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry, Manifest
from tests.unit.launch.plan_builders import M2, TINY, plan

COMMIT = "ab" * 20
HUB = "https://hub.example"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and a Hub at which nothing listens."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


def save(cache: Path) -> None:
    """Write the list of a model that this host has verified and fetched in part."""
    entries = (
        Entry("config.json", 600, "c" * 40, "e" * 64, "2026-01-01", 5, 6),
        Entry("model.safetensors", 1000, "d" * 64, "d" * 64, wanted=False),
    )
    path = ModelFolder(cache, M2).manifest(COMMIT)
    path.parent.mkdir(parents=True)
    manifests.save(Manifest(M2, COMMIT, COMMIT, entries, source="http://mirror"), path)


def chosen(
    options: ObjectOptions | None = None, place: WeightsPlace | None = None, there: str = "", model: str = M2
) -> Storage | None:
    made: Plan = plan(model, "h200" if model == M2 else "cpu", 4 if model == M2 else 1, revision=COMMIT)
    return storage_of(made, place or WeightsPlace(), options or ObjectOptions(), lambda name: name == there)


def test_a_claim_of_that_name_is_used_as_it_is() -> None:
    assert chosen(there="slipway-weights") == Storage("slipway-weights")
    assert chosen(place=WeightsPlace("models")) == Storage("models")


def test_without_a_claim_one_is_made_for_the_list_of_this_host(cache: Path) -> None:
    """What this host has verified or left out does not count in the cluster."""
    save(cache)
    made = chosen(ObjectOptions(hub=HUB, storage_class="shared"))
    assert made is not None
    assert (made.claim, made.new, made.storage_class) == ("minimax-m2-weights", True, "shared")
    assert made.manifest is not None
    assert made.manifest.source == HUB
    assert made.manifest.size == 1600
    assert [(one.sha256[:1], one.verified, one.inode) for one in made.manifest.entries] == [
        ("", "", 0),
        ("d", "", 0),
    ]


def test_a_named_claim_can_be_filled(cache: Path) -> None:
    save(cache)
    made = chosen(ObjectOptions(hub=HUB, prefetch=True), WeightsPlace("models"))
    assert made is not None
    assert (made.claim, made.new, made.endpoint) == ("models", False, HUB)


def test_folders_of_the_nodes_need_no_claim() -> None:
    assert chosen(place=WeightsPlace(path="/mnt/hub")) is None


def test_the_built_in_model_is_on_no_public_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT")
    with pytest.raises(Refused, match="the cluster cannot fetch the built-in model"):
        chosen(model=TINY)


@pytest.mark.parametrize("hub", ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80"])
def test_a_hub_of_this_host_alone_is_refused(hub: str) -> None:
    with pytest.raises(Refused, match="pods cannot reach the Hub"):
        chosen(ObjectOptions(hub=hub))


def test_options_of_a_claim_that_exists() -> None:
    with pytest.raises(Refused, match="--storage-class is for a claim that Slipway makes"):
        chosen(ObjectOptions(storage_class="shared"), there="slipway-weights")
