"""The lock decides which image a plan has, on a host without an engine; what a recipe or a user wants is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from errors import Failed, Refused
from images.build.local_name import reference
from images.lock.lockfile import LOCK, load
from launch.engine import images
from launch.operations import named_image, plan_image
from launch.operations.plan_inputs import plan_of
from launch.spec.inputs import LocalImage
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions

M2 = "MiniMaxAI/MiniMax-M2"
DIGEST = f"sha256:{'1' * 64}"


def made(hardware: str = "h200", **options: Any) -> Plan:
    return plan_of(PlanOptions(**{"model": M2, "hardware": hardware, "gpus": "8", **options}))


@pytest.mark.parametrize(("hardware", "platform"), [("h200", "cuda"), ("mi300x", "rocm")])
def test_a_plan_names_the_image_of_the_lock(hardware: str, platform: str) -> None:
    plan, locked = made(hardware), load().image(platform)
    assert (plan.image, plan.vllm_version) == (reference(locked), locked.pins.vllm.version)
    assert (plan.image_source.origin, plan.image_source.channel) == ("not built", "stable")
    assert plan.container.entrypoint == ("vllm", "serve")


def test_a_plan_names_the_image_of_another_channel() -> None:
    plan = made("mi300x", channel="nightly")
    assert plan.image == reference(load().image("rocm", "nightly"))
    assert "--platform rocm --channel nightly" in plan.notes[0]
    with pytest.raises(Refused, match="unknown rocm channel 'weekly'"):
        made("mi300x", channel="weekly")


def test_several_nodes_and_the_guides_access_have_the_image_of_the_lock() -> None:
    assert made(nodes=2).image == reference(load().image("cuda"))
    guide = made("mi300x", access="guide")
    assert guide.image == reference(load().image("rocm"))
    assert guide.container.privileged


def test_a_plan_reads_another_lock(tmp_path: Path) -> None:
    data = yaml.safe_load(LOCK.read_text())
    stable = data["platforms"]["cuda"]["stable"]
    stable["vllm"]["version"] = "0.30.0"
    (tmp_path / "lock.yaml").write_text(yaml.safe_dump({**data, "platforms": {"cuda": {"stable": stable}}}))
    plan = made(lock=str(tmp_path / "lock.yaml"))
    assert plan.vllm_version == "0.30.0"
    assert plan.image == reference(load(tmp_path / "lock.yaml").image("cuda"))


def test_another_vllm_than_the_locks_is_refused_with_the_commands() -> None:
    version = load().image("cuda").pins.vllm.version
    assert made(vllm=version).vllm_version == version
    with pytest.raises(Refused, match=f"the lock has vLLM {version} for cuda") as refused:
        made(vllm="0.40.0")
    assert "invoke pin --platform cuda --version 0.40.0" in refused.value.fix


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder with recipes that ask for an image, a newer vLLM, or a nightly."""
    folder = tmp_path / "models" / "org"
    folder.mkdir(parents=True)
    wanted = {
        "own": "docker_image: 'org/vllm:special'",
        "newer": "min_vllm_version: 0.40.0",
        "nightly": "nightly_required: true",
    }
    for name, line in wanted.items():
        text = f"model:\n  model_id: org/{name}\n  {line}\ncompatible_strategies: [single_node_tp]\n"
        (folder / f"{name}.yaml").write_text(text)
    return tmp_path


def test_the_image_of_a_recipe_is_a_note(recipes: Path) -> None:
    plan = made(model="org/own", recipes=str(recipes))
    assert plan.image == reference(load().image("cuda"))
    assert any("the recipe names the image org/vllm:special" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("model", "message", "fix"),
    [
        ("org/newer", "is too old for org/newer", "invoke pin --platform cuda --version 0.40.0"),
        ("org/nightly", "org/nightly needs a nightly vLLM, and the lock has", "--channel nightly"),
    ],
)
def test_a_recipe_that_needs_another_vllm_is_refused(
    recipes: Path, model: str, message: str, fix: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        made(model=model, recipes=str(recipes))
    assert fix in refused.value.fix


def test_a_recipe_for_a_nightly_is_planned_on_the_nightly_channel(recipes: Path) -> None:
    assert (
        made(model="org/nightly", recipes=str(recipes), channel="nightly").image_source.channel == "nightly"
    )


@pytest.mark.parametrize(
    ("model", "image"),
    [
        ("org/own", "org/vllm:special"),
        ("org/nightly", "vllm/vllm-openai:nightly"),
        ("org/newer", "vllm/vllm-openai:v0.32.0"),
    ],
)
def test_upstream_is_the_image_of_the_recipe_and_its_tag_is_asked_for(
    recipes: Path, monkeypatch: pytest.MonkeyPatch, model: str, image: str
) -> None:
    asked: list[str] = []

    def digest_of(name: str) -> str:
        asked.append(name)
        return DIGEST

    monkeypatch.setattr(named_image, "_digest_of", digest_of)
    if model == "org/newer":
        with pytest.raises(Refused, match=r"vLLM 0\.32\.0 is too old"):
            made(model=model, recipes=str(recipes), image="upstream")
    else:
        plan = made(model=model, recipes=str(recipes), image="upstream")
        assert plan.image == f"docker.io/{image.rpartition(':')[0]}@{DIGEST}"
    assert asked == [image]


def test_a_platform_that_the_lock_does_not_have_uses_upstreams_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_image, "_digest_of", lambda name: DIGEST)
    data = yaml.safe_load(LOCK.read_text())
    platforms = {"cpu": data["platforms"]["cpu"]}
    (tmp_path / "lock.yaml").write_text(yaml.safe_dump({**data, "platforms": platforms}))
    (tmp_path / "cpu").mkdir()
    requirements = "cpu/requirements.txt"
    (tmp_path / requirements).write_bytes((LOCK.parent / requirements).read_bytes())
    assert made(lock=str(tmp_path / "lock.yaml")).image == f"docker.io/vllm/vllm-openai@{DIGEST}"


def test_upstream_on_a_cpu_is_not_slipways_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_image, "_digest_of", lambda name: DIGEST)
    plan = made("cpu", model="slipway/MiniMax-M2-tiny", gpus="1", image="upstream")
    assert plan.image_source.name == "vllm/vllm-openai-cpu:latest-x86_64"


@pytest.mark.parametrize(
    ("image", "message"),
    [("a b", "--image"), ("Upper/case:1", "--image"), ("a/b@sha256:1", "has no valid digest")],
)
def test_a_name_that_no_image_can_have_is_refused(image: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        made(image=image)


def test_an_id_is_not_asked_for_in_a_registry() -> None:
    plan = made(image=DIGEST)
    assert plan.image_source.problem == "no container engine of this host has an image with this id"


def test_a_local_image_with_other_labels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_image, "_engine", object)
    monkeypatch.setattr(images, "inspect", lambda client, name: LocalImage(DIGEST, labels={}))
    with pytest.raises(Failed, match="is not the image that the lock describes") as failed:
        made()
    assert failed.value.fix == "invoke build --platform cuda"
