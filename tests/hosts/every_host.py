"""Tests for every simulated host: each verb as a user types it. The class of a host inherits them and adds its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.hosts.inputs import MODEL
from tests.hosts.simulated_host import SimulatedHost
from tests.hosts.transcript import PAGE, Terminal, block, commands, write_block
from tests.invocation import Finished

NAME = "slipway-minimax-m2"
Details = dict[str, Any]


def inspect(host: SimulatedHost, name: str = NAME) -> Details:
    """Return what the host's engine knows about a container."""
    return dict(host.engine().api.inspect_container(name))


def servers(host: SimulatedHost) -> dict[str, Any]:
    """Return the servers that `invoke ps` lists, by name."""
    return {row["name"]: row for row in host.invoke("ps", "--format", "json").json}


def move_main(host: SimulatedHost) -> None:
    """Let `main` of the model in the host's cache mean another commit, as after a fetch of a newer one."""
    folder = "models--" + MODEL.replace("/", "--")
    main = host.folder / "home/.cache/huggingface/hub" / folder / "refs/main"
    main.parent.mkdir(exist_ok=True)
    main.write_text("0" * 40)


class EveryHost:
    """Tests of a `host`, on which the image is `built`, the model fetched and a server on all GPUs `started`."""

    heading: ClassVar[str]  # of the transcript in the docs
    platform: ClassVar[str]
    gpu: ClassVar[str]
    inspect_command: ClassVar[str] = "docker inspect"

    def test_the_path_as_typed_starts_what_was_built_and_fetched(self, host: SimulatedHost) -> None:
        terminal = Terminal(host)
        path = f"invoke build --platform {self.platform} && invoke fetch {MODEL} && invoke run --gpus 8"
        printed = terminal.type(path)
        image = re.search(r"^sha256:([0-9a-f]{12})", printed, re.MULTILINE)
        commit = re.search(rf"^{MODEL} at ([0-9a-f]{{40}})$", printed, re.MULTILINE)
        assert image
        assert commit
        fields = '{{.Image}} {{index .Config.Labels "slipway.commit"}}'
        runs = terminal.type(f"{self.inspect_command} --format '{fields}' {NAME}").split()
        assert runs[0].removeprefix("sha256:").startswith(image[1])
        assert runs[1] == commit[1]
        assert commit[1] in terminal.type("invoke logs | grep stand-in")
        for format in ("docker", "compose", "quadlet", "kubernetes"):
            planned = terminal.type(f"invoke plan --gpus 8 --format {format} | grep -o 'sha256:[0-9a-f]*'")
            assert image[1] in {name[7:19] for name in planned.split()}
        terminal.type("invoke ps")
        terminal.type("invoke stop")
        if os.environ.get("SLIPWAY_GOLDEN") == "write":
            write_block(PAGE, self.heading, terminal.text())
        assert commands(block(PAGE.read_text(), self.heading)) == commands(terminal.text())

    @pytest.fixture(scope="class")
    @classmethod
    def built(cls, host: SimulatedHost) -> Details:
        """What `invoke build` reports."""
        return dict(host.invoke("build", "--platform", cls.platform, "--format", "json").json)

    @pytest.fixture(scope="class")
    @classmethod
    def commit(cls, host: SimulatedHost) -> str:
        """The commit of the model that `invoke fetch` fetched."""
        return str(host.invoke("fetch", MODEL, "--format", "json").json["commit"])

    @pytest.fixture(scope="class")
    @classmethod
    def started(cls, host: SimulatedHost, built: Details, commit: str) -> Iterator[Finished]:
        """`invoke run --gpus 8`, which has ended: the server serves."""
        yield host.invoke("run", "--gpus", "8").ok()
        host.invoke("stop", "--all")

    @pytest.fixture(scope="class")
    @classmethod
    def details(cls, host: SimulatedHost, started: Finished) -> Details:
        """The server's container after its start, as the engine describes it."""
        return inspect(host)

    def test_gpus_lists_eight(self, host: SimulatedHost) -> None:
        hardware = host.invoke("gpus", "--format", "json").json
        gpus = [*hardware["nvidia"]["gpus"], *hardware["amd"]["gpus"]]
        assert [gpu["hardware"] for gpu in gpus] == [self.gpu] * 8

    def test_doctor_finds_nothing_that_stops_a_launch(self, host: SimulatedHost) -> None:
        report = host.invoke("doctor", "--format", "json").json
        assert report["platform"] == self.platform
        assert report["counts"]["error"] == 0

    def test_run_starts_the_image_that_build_made(self, built: Details, details: Details) -> None:
        assert details["Image"].removeprefix("sha256:") == built["id"].removeprefix("sha256:")
        assert details["Config"]["Labels"]["slipway.image_id"] == built["id"]

    def test_plan_names_image_and_commit(self, host: SimulatedHost, built: Details, commit: str) -> None:
        plan = host.invoke("plan", "--gpus", "8").ok().out
        assert built["id"] in plan
        assert f"--revision {commit}" in plan

    def test_run_serves_the_commit_that_fetch_fetched(
        self, host: SimulatedHost, started: Finished, commit: str
    ) -> None:
        lock = yaml.safe_load(Path(host.env["SLIPWAY_LOCK"]).read_text())
        assert lock["models"][MODEL]["commit"] == commit
        assert inspect(host)["Config"]["Labels"]["slipway.commit"] == commit
        assert f"(stand-in) serves MiniMaxM2ForCausalLM at {commit}" in host.invoke("logs").ok().out

    def test_run_gives_only_the_access_of_the_plan(self, host: SimulatedHost, details: Details) -> None:
        granted = details["HostConfig"]
        plan = host.invoke("plan", "--gpus", "8", "--format", "json").json["container"]
        assert not granted["Privileged"]
        assert not granted["CapAdd"]
        assert granted["ShmSize"] == plan["shm_bytes"]
        assert details["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
        mounts = {mount["Destination"]: mount["RW"] for mount in details["Mounts"]}
        assert (mounts["/hub"], mounts["/cache"]) == (False, True)

    def test_the_server_can_open_its_gpus(self, host: SimulatedHost, started: Finished) -> None:
        opened = [line for line in host.invoke("logs").ok().out.splitlines() if "opened" in line]
        assert opened[0].count(",") == 7

    def test_ps_shows_model_gpus_and_health(self, host: SimulatedHost, started: Finished) -> None:
        row = servers(host)[NAME]
        assert (row["model"], row["status"]) == (MODEL, "running")
        assert host.invoke("ps").ok().out.count(f"0-7 (8 x {self.gpu.upper()})") == 1

    def test_chat_answers(self, host: SimulatedHost, started: Finished) -> None:
        assert host.invoke("chat", "What is a slipway?").ok().out == "a ramp\n"

    def test_bench_records_the_plan_that_runs(self, host: SimulatedHost, started: Finished) -> None:
        options = ("--preset", f"guide-{self.platform}", "--scale", "0.1", "--format", "json")
        run = host.invoke("bench", *options).json["runs"][0]
        assert run["result"]["failed"] == 0
        assert run["validity"]["outcome"] != "void"
        assert run["server"]["model"] == MODEL
        assert (run["host"]["hardware"], run["host"]["count"]) == (self.gpu, 8)

    def test_restart_keeps_image_access_and_commit(
        self, host: SimulatedHost, details: Details, commit: str
    ) -> None:
        move_main(host)
        host.invoke("restart").ok()
        again = inspect(host)
        assert again["State"]["StartedAt"] != details["State"]["StartedAt"]
        assert (again["Image"], again["HostConfig"]) == (details["Image"], details["HostConfig"])
        assert host.invoke("logs").ok().out.count(f"at {commit}") == 2

    def test_stop_leaves_no_container(self, host: SimulatedHost, started: Finished) -> None:
        host.invoke("stop").ok()
        assert servers(host) == {}
        assert host.engine().containers.list(all=True) == []
