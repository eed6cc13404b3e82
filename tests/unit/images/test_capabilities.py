from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.capabilities import LABEL, OWN_LAYERS, READ_FROM, Capabilities, differences, key, known, parse
from images.lock.lockfile import load

ROCM = Capabilities(
    python="3.12.13",
    torch="2.11.0+git96bfee1",
    torch_flavour="hip",
    hip="7.2.2",
    vllm_version="0.21.0rc1+rocm722",
    vllm_commit="d801ae8c2650b590438f3d9794dd7a47abd86c9a",
)


def test_what_the_lock_says_agrees():
    assert differences("rocm", load().platform("rocm"), ROCM) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ({"vllm_version": "0.20.2"}, "vLLM is 0.20.2, the lock says 0.21.0rc1"),
        ({"vllm_version": ""}, "vLLM is missing"),
        ({"vllm_commit": "1234567"}, "vLLM's commit is 1234567, the lock says d801ae8"),
        ({"torch_flavour": "cpu"}, "torch is the cpu build, rocm needs hip"),
        ({"torch_flavour": "cuda"}, "torch is the cuda build"),
        ({"python": "3.11.2"}, "Python is 3.11.2, the lock says 3.12"),
        ({"vllm_version": "0.12.0"}, "MiniMax-M2 needs 0.13.0"),
    ],
)
def test_what_differs_is_said(name, said):
    assert said in "; ".join(differences("rocm", load().platform("rocm"), replace(ROCM, **name)))


def test_a_short_commit_is_enough():
    assert differences("rocm", load().platform("rocm"), replace(ROCM, vllm_commit="d801ae8c2")) == []


def test_another_way_to_a_platform_needs_the_same_torch():
    rocm = replace(ROCM, vllm_version="0.29.0+rocm723")
    assert differences("rocm-openai", load().platform("rocm-openai"), rocm) == []


def test_a_later_contract_with_more_keys_can_be_read():
    assert parse('{"python": "3.13.1", "flags": ["--a"], "env": null, "colour": "red"}') == Capabilities(
        python="3.13.1", flags=("--a",)
    )


@given(st.builds(Capabilities, python=st.text(), flags=st.lists(st.text()).map(tuple)))
def test_what_is_stamped_is_what_is_read(capabilities):
    assert parse(capabilities.as_json()) == capabilities


def image(*layers, own="1", env=("A=1",)):
    labels = {OWN_LAYERS: own} if own else None
    return {"Config": {"Env": list(env), "Labels": labels}, "RootFS": {"Layers": list(layers)}}


def test_a_change_of_our_own_layer_leaves_the_contract_as_it_is():
    assert key(image("base", "vllm", "plugin")) == key(image("base", "vllm", "another plugin"))


@pytest.mark.parametrize(
    "other",
    [
        image("base", "another vllm", "plugin"),
        image("base", "vllm", "plugin", own=""),
        image("base", "vllm", "plugin", env=("A=2",)),
    ],
)
def test_whatever_else_changes_is_read_anew(other):
    assert key(other) != key(image("base", "vllm", "plugin"))


class Engine:
    """Only what `known` asks of an engine: images by label."""

    def __init__(self, *labels):
        self.images = self
        self.kept = [SimpleNamespace(labels=dict(one)) for one in labels]

    def list(self, filters):
        name, _, value = filters["label"].partition("=")
        return [one for one in self.kept if one.labels.get(name) == value]


def test_the_same_bytes_are_not_asked_twice():
    engine = Engine({READ_FROM: "k1", LABEL: ROCM.as_json()}, {READ_FROM: "k2"})
    assert known(engine, "k1") == ROCM
    assert known(engine, "k2") is None
    assert known(engine, "k3") is None
