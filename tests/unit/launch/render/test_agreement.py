"""All formats of a plan start the same container."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import Refused
from launch.engine import create_args
from launch.plural import count
from launch.render import compose, docker, kubernetes, quadlet, text
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, TINY, plan
from tests.unit.launch.render import reading

# Values: JSON, quotes, dollars, percent signs, spaces, anything but control characters.
values = st.one_of(
    st.sampled_from(
        ['{"a": "b c"}', "$HOME", "it's", 'say "no"', "a\\b", "50%", "$(ls)", "${X}", "{0}", "%s", "é"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
        lambda text: text.lower() not in ("true", "false") and not text.startswith("$")
    ),
)
names = st.from_regex(r"[A-Z][A-Z_]{2,12}", fullmatch=True).filter(
    lambda name: not name.startswith(("HF_", "VLLM"))
)
machines = st.sampled_from(
    [
        (M2, "h200", 4),
        (M2, "h200", 8),
        (M2, "a100", 8),
        (M2, "mi300x", 2),
        (M2, "mi300x", 8),
        (TINY, "cpu", 2),
    ]
)
AMD_HERE = {"devices": tuple(f"/dev/dri/renderD{128 + 8 * index}" for index in range(8)), "groups": ("105",)}
NVIDIA_HERE = {"gpu_ids": tuple(f"GPU-{index}" for index in range(8))}
HOSTS: list[dict[str, Any]] = [
    {},
    {"cache": ""},
    AMD_HERE,
    {**AMD_HERE, "cdi": tuple(f"amd.com/gpu={index}" for index in range(8))},
    {**NVIDIA_HERE, "cdi_reason": "podman", "cdi": tuple(f"nvidia.com/gpu=GPU-{i}" for i in range(8))},
    {**NVIDIA_HERE, "cdi_reason": "podman"},
]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    model, hardware, gpus = draw(machines)
    facts = draw(st.sampled_from(HOSTS))
    if "cdi" in facts:  # a name for each GPU of this vendor
        kind = "amd.com" if hardware == "mi300x" else "nvidia.com"
        facts = {**facts, "cdi": tuple(name for name in facts["cdi"] if name.startswith(kind))[:gpus]}
    return plan(
        model,
        hardware,
        gpus,
        nodes=draw(st.sampled_from([1, 2])),
        vllm="0.32.0",
        access=draw(st.sampled_from(["least", "profiling", "rdma"])),
        pids=draw(st.sampled_from([0, 500])),
        port=draw(st.integers(1024, 65535)),
        settings=tuple(
            draw(st.dictionaries(st.sampled_from(["--chat-template", "--response-role"]), values)).items()
        ),
        env=tuple(draw(st.dictionaries(names, values, max_size=3)).items()),
        image=draw(st.sampled_from(["", "registry.example:5000/slipway/vllm@sha256:" + "0" * 64])),
        cdi=draw(st.sampled_from(["auto", "yes"] if facts.get("cdi") else ["auto", "no"])),
        facts=facts,
    )


@settings(max_examples=40)
@given(plans())
def test_all_formats_agree_with_the_plan(made: Plan) -> None:
    for process in made.processes:
        expected = reading.of_plan(made, process)
        for read in (
            reading.of_json,
            reading.of_sdk,
            reading.of_docker,
            reading.of_compose,
            reading.of_quadlet,
        ):
            assert read(made, process) == expected, read.__name__
        assert reading.of_kubernetes(made, process) == as_a_pod(made, expected)


def test_an_unknown_entrypoint_is_replaced() -> None:
    """It may already be `vllm serve`, which must not run twice, or be missing."""
    made = plan(M2, "h200", 4, image="registry.example/vllm:1")
    assert create_args.arguments(made, made.processes[0])["entrypoint"] == ["vllm"]
    assert create_args.arguments(made, made.processes[0])["command"][:2] == ["serve", M2]
    known = plan(M2, "h200", 4, image="vllm/vllm-openai:v0.32.0")
    assert "entrypoint" not in create_args.arguments(known, known.processes[0])
    assert create_args.arguments(known, known.processes[0])["command"][0] == M2


BY_NAME = [
    ("h200", 4, "auto", "nvidia.com/gpu=GPU-2", {"cdi_reason": "podman takes GPUs by CDI name only"}),
    ("mi300x", 2, "yes", "amd.com/gpu=1", AMD_HERE),
]


@pytest.mark.parametrize(("hardware", "gpus", "cdi", "name", "facts"), BY_NAME)
def test_each_format_writes_cdi_names_for_its_tool(
    hardware: str, gpus: int, cdi: str, name: str, facts: dict[str, Any]
) -> None:
    names = tuple(f"{name[:-1]}{index}" for index in range(gpus))
    made = plan(M2, hardware, gpus, cdi=cdi, facts={**facts, "cdi": names})
    assert f"--device={name} " in docker.render(made)
    assert f"\n    - {name}\n" in compose.render(made)
    assert f"\nAddDevice={name}\n" in quadlet.render(made)
    (request,) = create_args.arguments(made, made.processes[0])["device_requests"]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", list(names))
    assert f"{count(gpus, 'CDI name')} of {name.partition('=')[0]}" in text.render(made)
    for render in (docker.render, compose.render, quadlet.render):
        assert "--gpus" not in render(made)
        assert "/dev/kfd" not in render(made)


def as_a_pod(made: Plan, facts: reading.Facts) -> reading.Facts:
    """Return the facts in a cluster: no path and no user of this host, GPUs are a count, there is always a Service."""
    resource = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu"}.get(made.platform)
    gpus = [f"{resource}={made.layout.gpus // made.layout.nodes}"] if resource else []
    by_plugin = ("gpu=", "nvidia.com/", "amd.com/", "/dev/kfd", "/dev/dri")
    others = [d for d in facts.devices if not d.startswith(by_plugin)]
    volumes = {"/hub": "slipway-weights", "/cache": "empty"}
    return replace(
        facts,
        devices=frozenset([*gpus, *others]),
        ports=facts.ports or frozenset([(8000, 8000)]),
        mounts=frozenset(
            (volumes.get(target, source), target, mode) for source, target, mode in facts.mounts
        ),
        user="0:0" if made.container.profile == "profiling" else "1000:1000",
    )


def test_formats_agree_on_the_guides_container() -> None:
    made = plan(M2, "mi300x", 8, vllm="0.11.1", image="rocm/vllm-dev:nightly", access="guide")
    process = made.processes[0]
    expected = reading.of_plan(made, process)
    for read in (reading.of_json, reading.of_sdk, reading.of_docker, reading.of_compose):
        assert read(made, process) == expected, read.__name__


def test_kubernetes_refuses_a_group_name() -> None:
    with pytest.raises(Refused, match="a pod cannot have the group 'video'"):
        kubernetes.render(plan(M2, "mi300x", 8, vllm="0.11.1", access="guide"))
