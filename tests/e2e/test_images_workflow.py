"""From the publishing workflow to a user's host: the job's own `run` lines publish the CPU image to a registry with TLS
and a password, and `run` on an engine without images pulls, verifies and serves it.

Not run here: GitHub's runners and their tokens, the checkout, and the steps in NOT_RUN.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from images import capabilities
from images.registry.client import Registry
from launch.http.client import NotFound
from tests.conftest import MODEL, ROOT, SERVER, absent
from tests.e2e.workflow import Job, read_job
from tests.hosts.engines import start_docker
from tests.hosts.simulated_host import CannotSimulate, SimulatedHost, simulated_host
from tests.registry.published import make_key
from tests.registry.serving import FIX, PASSWORD, USER, Running, certificate, htpasswd, program, running

pytestmark = pytest.mark.slow
REPOSITORY = "Example/slipway"  # a name with a capital letter, as GitHub allows it
PUBLISHED_TO = "example/slipway/vllm"
REGISTRY_NAME = "{}/" + PUBLISHED_TO
NOT_RUN = {
    "Set up": "it installs into the checkout that runs this test",
    "Free 30 GB of disk space for the image": "it deletes folders of a hosted runner",
}
Finished = CompletedProcess[str]


@dataclass
class Published:
    """What the steps printed, by the name of the step, and where they published to."""

    registry: Running
    job: Job
    variables: dict[str, str]
    done: dict[str, Finished] = field(default_factory=dict)
    before_the_login: list[str] = field(default_factory=list)  # the digests in the registry

    def json_of(self, step: str) -> Any:
        """Return what a step printed with `--format json`."""
        return json.loads(self.done[step].stdout)

    def run(self) -> None:
        """Run the steps of all events in their order: those of a pull request, then those of a push."""
        for step in self.job.runs:
            if step["name"] in NOT_RUN:
                continue
            if step["name"] == "Log in":
                self.before_the_login = self.digests()
            self.done[step["name"]] = finished = self.job.run(step, self.variables)
            output = finished.stdout[-3000:] + finished.stderr[-3000:]
            assert finished.returncode == 0, f"{step['name']}: {output}"

    def digests(self) -> list[str]:
        """Return the digest of the image in the registry, if it is there."""
        inputs = self.json_of("Build from the lock")["tag"].rpartition("-")[2]
        try:
            return [self.client().manifest(PUBLISHED_TO, f"cpu-lock-{inputs}").digest]
        except NotFound:
            return []

    def client(self) -> Registry:
        """A client of the registry with the password."""
        return self.registry.client(PASSWORD, f"https://{self.registry.host}")


def own_name() -> str:
    """Return the name of this machine if it is 127.0.0.1, which every engine accepts as a registry; else ""."""
    name = socket.gethostname()
    try:
        return name if socket.gethostbyname(name) == "127.0.0.1" else ""
    except OSError:
        return ""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A registry with a password and TLS. It has a name, because a loopback address is taken for plain HTTP."""
    binary, name = program(), own_name()
    if not binary:
        absent(FIX)
    if not name:
        pytest.skip("the name of this machine is not 127.0.0.1: add it to that line of /etc/hosts")
    folder = tmp_path_factory.mktemp("registry")
    certificate(folder, name)
    (folder / "htpasswd").write_text(htpasswd())
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    auth = {"htpasswd": {"realm": "slipway", "path": str(folder / "htpasswd")}}
    with running(binary, folder, tls=tls, auth=auth) as one:
        one.host = one.host.replace("127.0.0.1", name)
        yield one


@pytest.fixture(scope="module")
def published(
    cpu_image: str, registry: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    """The steps of the job for the CPU platform: those of a pull request, then those of a push."""
    if not (ROOT / ".venv/bin/invoke").exists():
        pytest.skip("the workflow's lines need .venv in the checkout: make setup")
    temporary = tmp_path_factory.mktemp("runner")
    values = {
        "vars.REGISTRY || 'ghcr.io'": registry.host,
        "github.repository": REPOSITORY,
        "vars.REGISTRY_USER || github.actor": USER,
        "secrets.REGISTRY_TOKEN || secrets.GITHUB_TOKEN": PASSWORD,
        "secrets.SLIPWAY_SIGNING_KEY": make_key(temporary / "own.key").read_text(),
    }
    variables = {
        "RUNNER_TEMP": str(temporary),
        "DOCKER_CONFIG": str(temporary / "docker"),
        "SLIPWAY_CA_BUNDLE": str(registry.folder / "cert.pem"),
    }
    made = Published(registry, read_job("images", "image", values, platform="cpu"), variables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_CA_BUNDLE", variables["SLIPWAY_CA_BUNDLE"])
        made.run()
        yield made


def test_every_step_of_the_job_is_run_or_named(published: Published) -> None:
    assert list(published.done) == [
        "Build from the lock",
        "Test what is inside",
        "Show what would be published",
        "Log in",
        "Publish by digest",
        "Delete the key",
    ]
    assert {step["name"] for step in published.job.runs} == {*published.done, *NOT_RUN}
    actions = [step["uses"].partition("@")[0] for step in published.job.steps if "uses" in step]
    assert actions == ["actions/checkout"]


def test_a_pull_request_shows_what_would_be_published_and_sends_nothing(published: Published) -> None:
    assert "nothing was sent" in published.done["Show what would be published"].stderr
    assert published.before_the_login == []


def test_a_push_publishes_the_image_that_build_made(published: Published) -> None:
    result = published.json_of("Publish by digest")
    manifest = published.client().manifest(PUBLISHED_TO, result["digest"])
    assert manifest.json["config"]["digest"] == published.json_of("Build from the lock")["id"]
    assert published.digests() == [result["digest"]]
    assert all(result[part] for part in ("pushed", "signature", "provenance", "sbom"))


def test_the_key_is_deleted_and_the_password_is_printed_nowhere(published: Published) -> None:
    assert not (Path(published.variables["RUNNER_TEMP"]) / "slipway.key").exists()
    for done in published.done.values():
        assert PASSWORD not in done.stdout + done.stderr
        assert "PRIVATE KEY" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def user_host(published: Published, hub_cache: Path) -> Iterator[SimulatedHost]:
    """A user's host: its engine has no image, its settings name the registry and the public key."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a host in namespaces of its own: run this test as root")
    registry, runner = published.registry, Path(published.variables["RUNNER_TEMP"])
    public = ["openssl", "ec", "-in", str(runner / "own.key"), "-pubout", "-out", str(runner / "own.pub")]
    subprocess.run(public, check=True, capture_output=True)
    variables = {
        "SLIPWAY_REGISTRY": REGISTRY_NAME.format(registry.host),
        "SLIPWAY_VERIFY_KEY": str(runner / "own.pub"),
        "HF_HUB_CACHE": str(hub_cache),
        **{name: published.variables[name] for name in ("DOCKER_CONFIG", "SLIPWAY_CA_BUNDLE")},
    }
    try:
        with simulated_host(variables) as host:
            port = int(registry.host.rpartition(":")[2])  # the same blobs, on the host's own loopback
            host.daemon("registry", program(), "serve", str(registry.folder / "config.yml"), listens=port)
            start_docker(host)
            yield host
    except CannotSimulate as reason:
        absent(f"this machine cannot simulate a host: {reason}")


RUN = ("run", "--platform", "cpu", "--model", MODEL, "--name", SERVER)


def test_run_refuses_an_image_that_another_key_signed(user_host: SimulatedHost, tmp_path: Path) -> None:
    key = make_key(tmp_path / "other.key")
    public = ["openssl", "ec", "-in", str(key), "-pubout", "-out", str(tmp_path / "other.pub")]
    subprocess.run(public, check=True, capture_output=True)
    refused = user_host.invoke(*RUN, "--verify-key", str(tmp_path / "other.pub"))
    assert refused.code == 1
    assert "is not signed with this key" in refused.err
    assert user_host.engine().images.list() == []


def test_run_pulls_the_published_digest_and_serves(user_host: SimulatedHost, published: Published) -> None:
    """The image that the workflow built, tested and signed is the one that answers on another engine."""
    digest = published.json_of("Publish by digest")["digest"]
    built = published.json_of("Build from the lock")
    run = user_host.invoke(*RUN, "--format", "json").ok()
    try:
        assert "is signed with the key in" in run.err + run.out
        engine = user_host.engine()
        container = engine.containers.get(SERVER)
        image = engine.images.get(container.attrs["Image"])
        assert image.id == built["id"]
        assert image.attrs["RepoDigests"] == [f"{REGISTRY_NAME.format(published.registry.host)}@{digest}"]
        assert container.labels["slipway.image_digest"] == digest
        assert capabilities.from_labels(image.labels) == capabilities.read(engine, built["id"])
        assert user_host.invoke("chat", "What is a slipway?", "--max-tokens", "8", "--name", SERVER).ok().out
    finally:
        user_host.invoke("stop", "--name", SERVER)
