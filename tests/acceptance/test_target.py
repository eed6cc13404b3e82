"""What is tested: a server of this host, with the sampling defaults of its weights, or one at an address."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Refused
from launch.access.profiles import HUB
from launch.operations.acceptance_target import of_container, of_url
from tests.acceptance.stand_in import MODEL, StandIn

COMMIT = "c" * 40


def container(url: str, cache: Path, key: str = "") -> Any:
    """Return a stand-in for the container of a server."""
    labels = {
        "slipway.model": MODEL,
        "slipway.url": f"{url}/v1",
        "slipway.image_id": "sha256:1",
        "slipway.key": key,
    }
    attrs = {"Mounts": [{"Destination": HUB, "Source": str(cache)}]}
    return SimpleNamespace(name="slipway-m", labels=labels, attrs=attrs)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with the snapshot of a model."""
    model = tmp_path / f"models--{MODEL.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    (model / "snapshots" / COMMIT).mkdir(parents=True)
    (model / "snapshots" / COMMIT / "generation_config.json").write_text('{"top_k": 7}')
    return tmp_path


def test_a_server_of_this_host_is_tested_with_the_defaults_of_its_weights(
    server: StandIn, cache: Path
) -> None:
    target, facts = of_container(container(server.url, cache))
    assert (target.url, target.model, target.sampling) == (server.url, MODEL, {"top_k": 7})
    assert (facts["commit"], facts["image_id"], facts["server"]) == (COMMIT, "sha256:1", "slipway-m")


def test_the_commit_of_the_plan_is_tested_if_main_has_moved(server: StandIn, cache: Path) -> None:
    planned = container(server.url, cache)
    planned.labels["slipway.commit"] = "d" * 40
    target, facts = of_container(planned)
    assert (target.sampling, facts["commit"]) == ({}, "d" * 40)


def test_a_server_of_this_host_is_tested_with_its_key(server: StandIn, cache: Path, tmp_path: Path) -> None:
    server.key = "sk-test"
    (tmp_path / "key.env").write_text("VLLM_API_KEY=sk-test\n")
    target, facts = of_container(container(server.url, cache, str(tmp_path / "key.env")))
    assert target.key == "sk-test"
    assert "sk-test" not in str(facts)


def test_weights_that_are_not_on_this_host_leave_the_defaults_unknown(
    server: StandIn, tmp_path: Path
) -> None:
    target, facts = of_container(container(server.url, tmp_path / "absent"))
    assert (target.sampling, facts["commit"]) == ({}, "")


def test_an_address_with_a_login_is_refused(server: StandIn) -> None:
    with pytest.raises(Refused, match="contains a login"):
        of_url(server.url.replace("http://", "http://me:secret@"))


@pytest.mark.parametrize("text", ["", "two words", "OTHER=sk-test"])
def test_a_file_without_a_key_is_refused(text: str, server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(Refused, match="holds no API key"):
        of_url(server.url, key_file=str(tmp_path / "key"))
