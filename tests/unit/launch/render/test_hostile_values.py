"""No value of a request or a recipe becomes something else in an output: each format is read back by a real parser."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from errors import Refused
from launch.render import compose, docker, kubernetes, quadlet
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, TINY, plan
from tests.unit.launch.render import generator, reading

HOSTILE = [
    ";",
    "; touch /x",
    "a;b",
    "#",
    "a #b",
    "%h",
    "100%",
    "%%n",
    "$HOME",
    "$$",
    "$$(ls)",
    "$(LWS_LEADER_ADDRESS)",
    "${X}",
    "`id`",
    "a b",
    " a",
    "a ",
    "tail\\",
    "\\x41",
    "\\",
    "\\n",
    '"',
    "'",
    "it's",
    '"; --privileged "',
    "--privileged",
    "-",
    "~",
    "*",
    "&&",
    "|",
    ">x",
    "[Service]",
    "Exec=x",
    "{{x}}",
    "!!python/object:x",
    "&a",
    "*a",
    "- a",
    "a: b",
    "null",
    "yes",
    "1e3",
    "0x10",
    "é",
    "\u00a0",
    "\ufeff",
    "\u3000",
    "😀",
]
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from([*"\\\"'$%#;& `(){}[]=:,-ab", "é", "\u00a0"]), min_size=1, max_size=8).map(
        "".join
    ),
).filter(lambda text: text.lower() not in ("true", "false", "") and not text.startswith(("$HEAD", "$I")))


FLAGS = ("--served-model-name", "--chat-template", "--tokenizer", "--code-revision")
several = st.lists(texts, min_size=len(FLAGS), max_size=12)


def made_with(values: list[str], nodes: int = 1) -> Plan:
    """Return a plan with the first values as options, and all as variables."""
    return plan(
        M2 if nodes > 1 else TINY,
        "h200" if nodes > 1 else "cpu",
        nodes=nodes,
        settings=tuple(zip(FLAGS, values, strict=False)),
        env=tuple((f"TEXT_{number}", value) for number, value in enumerate(values)),
        facts={"hub_cache": "/home/me/my hub $x %h 'q\"", "cache": "/home/me/#1; c"},
    )


@settings(max_examples=20)
@example(HOSTILE)
@example(HOSTILE[1:])
@given(several)
def test_every_format_gives_the_values_back(values: list[str]) -> None:
    made = made_with(values)
    process = made.processes[0]
    expected = reading.of_plan(made, process)
    assert reading.of_docker(made, process) == expected
    assert reading.of_compose(made, process) == expected
    pod = reading.of_kubernetes(made, process)
    assert (pod.argv, pod.env) == (expected.argv, expected.env)
    assert {target for _, target, _ in pod.mounts} == {target for _, target, _ in expected.mounts}
    if ";" in values[: len(FLAGS)]:
        with pytest.raises(Refused, match="a Quadlet unit cannot have the word ';'"):
            quadlet.render(made)
    else:
        assert reading.of_quadlet(made, process) == expected


@pytest.fixture(scope="module")
def quadlet_generator() -> Path:
    found = generator.installed()
    if found is None:
        pytest.skip(
            "no Quadlet generator (podman 4.6): python -m tests.unit.launch.render.generator unpacks one"
        )
    return found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(HOSTILE[1:])
@given(several)
def test_podmans_generator_gives_the_values_back(
    quadlet_generator: Path, tmp_path: Path, values: list[str]
) -> None:
    made = made_with([value for value in values if value != ";"])
    service = generator.service(quadlet_generator, tmp_path, quadlet.render(made))
    words = generator.command(service)
    command = list(made.command(made.processes[0]))
    assert words[words.index(made.image) :] == [made.image, *command]
    env = [words[index + 1] for index, word in enumerate(words) if word == "--env"]
    assert dict(pair.split("=", 1) for pair in env) == dict(made.environment(made.processes[0]))
    volumes = [words[index + 1] for index, word in enumerate(words) if word == "-v"]
    assert volumes == [
        f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}" for mount in made.container.mounts
    ]
    assert not {"--privileged", "--pid"} & set(words[: words.index(made.image)])


UNITS = [
    (M2, "h200", 4, 1, {}),
    (M2, "h200", 8, 2, {}),
    (M2, "mi300x", 2, 1, {"facts": {"devices": ("/dev/dri/renderD128",), "groups": ("44", "105")}}),
    (M2, "mi300x", 8, 1, {"access": "rdma"}),
    (M2, "h200", 4, 1, {"access": "profiling", "listen": "::"}),
    (M2, "h200", 4, 1, {"image": "registry.example:5000/vllm@sha256:" + "0" * 64, "name": "Replica.2"}),
    (TINY, "cpu", 2, 1, {"listen": "0.0.0.0", "facts": {"key_file": "/home/a b/key"}}),
]


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes", "options"), UNITS)
def test_podmans_generator_accepts_every_kind_of_unit(
    quadlet_generator: Path,
    tmp_path: Path,
    model: str,
    hardware: str,
    gpus: int,
    nodes: int,
    options: dict[str, object],
) -> None:
    made = plan(model, hardware, gpus, nodes, **options)  # type: ignore[arg-type]
    for text in quadlet.files(made).values():
        service = generator.service(quadlet_generator, tmp_path, text)
        assert "--health-on-failure kill" in service or "--headless" in service
        assert "GroupAdd=" not in service  # podman 4.9 does not have it


@pytest.mark.parametrize("word", ["", ";"])
def test_quadlet_refuses_words_that_the_generator_would_change(word: str) -> None:
    with pytest.raises(Refused, match="cannot have the word"):
        quadlet.render(made_with([word]) if word else _with_empty_word())


def _with_empty_word() -> Plan:
    made = made_with(["x"])
    process = made.processes[0]
    return replace(made, processes=(replace(process, argv=(*process.argv, "--x", "")),))


def test_workers_get_the_values_through_kubernetes_and_a_shell() -> None:
    """With three nodes a shell computes the rank of a worker; it reads the words that Kubernetes leaves."""
    for start in range(0, len(HOSTILE), len(FLAGS)):
        made = made_with(HOSTILE[start : start + len(FLAGS)], nodes=3)
        worker = kubernetes.documents(made)[0]["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
        shell = worker["containers"][0]["command"][2].replace("$$", "$")
        words = shlex.split(shell.replace("$((LWS_WORKER_INDEX * 8))", "8"))
        expected = ["$LWS_LEADER_ADDRESS" if word == "$HEAD_IP" else word for word in made.processes[1].argv]
        assert words[1:] == expected


def test_docker_and_compose_name_an_ipv6_address_in_brackets() -> None:
    made = plan(M2, "h200", 4, listen="::1")
    assert "-p '[::1]:8000:8000'" in docker.render(made)
    assert compose.document(made)["services"]["server"]["ports"] == ["[::1]:8000:8000"]
