"""Images and vLLM versions that do not suit a plan are refused, with both versions and the command that helps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.planning.image_checks import (
    check_channel,
    check_platform,
    check_reference,
    check_release,
    check_wanted_version,
)
from launch.planning.image_choice import from_lock, named
from launch.spec.capabilities import Capabilities
from tests.unit.launch.planning.test_image_choice import HERE, NIGHTLY, STABLE


def test_an_image_and_a_channel_exclude_each_other() -> None:
    check_channel("mine:1", "")
    check_channel("", "nightly")
    with pytest.raises(Refused, match="--image and --channel cannot be used together"):
        check_channel("mine:1", "nightly")


@pytest.mark.parametrize("asked", ["a/b@sha256:12", "a/b@", f"a/b@md5:{'1' * 64}"])
def test_an_invalid_digest_is_refused(asked: str) -> None:
    with pytest.raises(Refused, match="has no valid digest"):
        check_reference(asked)


def test_another_vllm_than_the_locks_is_refused_with_both_versions() -> None:
    check_wanted_version("", STABLE)
    check_wanted_version("0.31.0", STABLE)
    with pytest.raises(Refused, match=r"--vllm 0\.32\.0: the lock has vLLM 0\.31\.0 for cuda") as refused:
        check_wanted_version("0.32.0", STABLE)
    assert refused.value.fix == (
        "invoke pin --platform cuda --version 0.32.0, or --image upstream --vllm 0.32.0"
    )
    with pytest.raises(Refused) as refused:
        check_wanted_version("0.33.1", STABLE)
    assert refused.value.fix.startswith("--channel nightly, or")


def test_a_recipe_for_a_newer_vllm_is_refused_with_both_versions_and_the_pin_command() -> None:
    check_release(from_lock(STABLE), "0.31.0", False, "org/m", "m.yaml")
    with pytest.raises(Refused, match=r"vLLM 0\.31\.0 is too old for org/m") as refused:
        check_release(from_lock(STABLE), "0.40.0", False, "org/m", "m.yaml")
    assert (refused.value.why, refused.value.fix) == (
        "m.yaml: min_vllm_version is 0.40.0",
        "invoke pin --platform cuda --version 0.40.0",
    )
    with pytest.raises(Refused) as refused:
        check_release(from_lock(STABLE), "0.33.0", False, "org/m", "m.yaml")
    assert refused.value.fix == "--channel nightly or invoke pin --platform cuda --version 0.33.0"
    with pytest.raises(Refused) as refused:
        check_release(from_lock(NIGHTLY), "0.40.0", False, "org/m", "m.yaml")
    assert refused.value.fix == "invoke pin --platform cuda --nightly"


@pytest.mark.parametrize(("need", "flag"), [("", True), ("nightly", False), ("0.20.0", True)])
def test_a_recipe_for_a_nightly_is_refused_on_another_channel(need: str, flag: bool) -> None:
    check_release(from_lock(NIGHTLY), need, flag, "org/m", "m.yaml")
    with pytest.raises(Refused, match=r"needs a nightly vLLM, and the lock has 0\.31\.0") as refused:
        check_release(from_lock(STABLE), need, flag, "org/m", "m.yaml")
    assert refused.value.fix == "--channel nightly"
    with pytest.raises(Refused) as refused:
        check_release(from_lock(replace(STABLE, others=())), need, flag, "org/m", "m.yaml")
    assert refused.value.fix == "invoke pin --platform cuda --nightly"


def test_an_image_for_another_platform_is_refused_if_its_capabilities_are_known() -> None:
    image = named("cuda", "rocm/vllm:1", "0.32.0", HERE, capabilities=Capabilities(torch_flavour="hip"))
    with pytest.raises(Refused, match="'rocm/vllm:1' is an image for rocm, not for cuda"):
        check_platform(image, "cuda")
    check_platform(image, "rocm")
    check_platform(named("cuda", "rocm/vllm:1", "0.32.0", HERE), "cuda")
