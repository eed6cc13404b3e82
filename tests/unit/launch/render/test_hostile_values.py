"""No value of a request or a recipe becomes something else in an output: each format is read back by a real parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
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


def made_with(value: str, other: str, nodes: int = 1) -> Plan:
    return plan(
        M2 if nodes > 1 else TINY,
        "h200" if nodes > 1 else "cpu",
        nodes=nodes,
        settings=(("--served-model-name", value),),
        env=(("TEXT", other),),
        facts={"hub_cache": "/home/me/my hub $x %h 'q\"", "cache": "/home/me/#1; c"},
    )


@settings(max_examples=60)
@given(texts, texts)
def test_every_format_gives_the_values_back(value: str, other: str) -> None:
    made = made_with(value, other)
    process = made.processes[0]
    expected = reading.of_plan(made, process)
    assert reading.of_docker(made, process) == expected
    assert reading.of_compose(made, process) == expected
    pod = reading.of_kubernetes(made, process)
    assert (pod.argv, pod.env, pod.mounts) == (expected.argv, expected.env, expected.mounts)
    try:
        assert reading.of_quadlet(made, process) == expected
    except Refused as refused:
        assert value == ";"
        assert "Quadlet" in refused.what


@pytest.fixture(scope="module")
def quadlet_generator() -> Path:
    found = generator.installed()
    if found is None:
        pytest.skip(
            "no Quadlet generator (podman 4.6): python -m tests.unit.launch.render.generator unpacks one"
        )
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts)
def test_podmans_generator_gives_the_values_back(
    quadlet_generator: Path, tmp_path: Path, value: str, other: str
) -> None:
    made = made_with(value if value != ";" else "x", other)
    service = generator.service(quadlet_generator, tmp_path, quadlet.render(made))
    words = generator.command(service)
    command = list(made.command(made.processes[0]))
    assert words[-len(command) :] == command
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
        quadlet.render(made_with(word, "x") if word else _with_empty_word())


def _with_empty_word() -> Plan:
    from dataclasses import replace

    made = made_with("x", "x")
    process = made.processes[0]
    return replace(made, processes=(replace(process, argv=(*process.argv, "--x", "")),))


@pytest.mark.parametrize("value", HOSTILE)
def test_workers_get_the_value_through_kubernetes_and_a_shell(value: str) -> None:
    """With three nodes a shell computes the rank of a worker; it reads the words that Kubernetes leaves."""
    import shlex

    made = made_with(value, "x", nodes=3)
    worker = kubernetes.documents(made)[0]["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    shell = worker["containers"][0]["command"][2].replace("$$", "$")
    words = shlex.split(shell.replace("$((LWS_WORKER_INDEX * 8))", "8"))
    expected = ["$LWS_LEADER_ADDRESS" if word == "$HEAD_IP" else word for word in made.processes[1].argv]
    assert words[1:] == expected


def test_docker_and_compose_name_an_ipv6_address_in_brackets() -> None:
    made = plan(M2, "h200", 4, listen="::1")
    assert "-p '[::1]:8000:8000'" in docker.render(made)
    assert compose.document(made)["services"]["server"]["ports"] == ["[::1]:8000:8000"]
