"""From the publishing workflow to a user's host: the job's own `run` lines publish the CPU image to a registry with TLS
and a password, and `run` on an engine without images pulls, verifies and serves it.

Not run here: GitHub's runners and their tokens, the checkout, and the steps in NOT_RUN.
"""

from __future__ import annotations

import json
import os
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
    """What the steps of both events printed, by the name of the step, and where they published to."""

    registry: Running
    job: Job
    variables: dict[str, str]
    pull_request: dict[str, Finished] = field(default_factory=dict)
    push: dict[str, Finished] = field(default_factory=dict)
    after_pull_request: list[str] = field(default_factory=list)

    @property
    def result(self) -> Any:
        """What `invoke publish --format json` printed."""
        return json.loads(self.push["Publish by digest"].stdout)

    def run(self, event: str) -> dict[str, Finished]:
        """Run the steps of an event in their order, and stop at the first that fails."""
        done: dict[str, Finished] = {}
        for step in self.job.steps_of(event):
            if step["name"] in NOT_RUN:
                continue
            done[step["name"]] = finished = self.job.run(step, self.variables)
            output = finished.stdout[-3000:] + finished.stderr[-3000:]
            assert finished.returncode == 0, f"{step['name']}: {output}"
        return done

    def client(self) -> Registry:
        """A client of the registry with the password."""
        return self.registry.client(PASSWORD, f"https://{self.registry.host}")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A registry with a password and TLS."""
    binary = program()
    if not binary:
        absent(FIX)
    folder = tmp_path_factory.mktemp("registry")
    certificate(folder)
    (folder / "htpasswd").write_text(htpasswd())
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    auth = {"htpasswd": {"realm": "slipway", "path": str(folder / "htpasswd")}}
    with running(binary, folder, tls=tls, auth=auth) as one:
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
        made.pull_request = made.run("pull_request")
        made.after_pull_request = _tags(made)
        made.push = made.run("push")
        yield made


def _tags(published: Published) -> list[str]:
    """Return the first tag of the image if the registry has it."""
    tag = json.loads(published.pull_request["Build from the lock"].stdout)["tag"]
    inputs = tag.rpartition("-")[2]
    try:
        return [published.client().manifest(PUBLISHED_TO, f"cpu-lock-{inputs}").digest]
    except NotFound:
        return []


def test_every_step_of_the_job_is_run_or_named() -> None:
    job = read_job("images", "image", {}, platform="cpu")
    names = {step["name"] for event in ("pull_request", "push") for step in job.steps_of(event)}
    assert set(NOT_RUN) < names
    assert [step["uses"].split("@")[0] for step in job.steps if "uses" in step] == ["actions/checkout"]


def test_a_pull_request_builds_and_tests_and_publishes_nothing(published: Published) -> None:
    assert list(published.pull_request) == [
        "Build from the lock",
        "Test what is inside",
        "Show what would be published",
        "Delete the key",
    ]
    assert "nothing was sent" in published.pull_request["Show what would be published"].stderr
    assert published.after_pull_request == []


def test_a_push_publishes_the_image_that_build_made(published: Published) -> None:
    built = json.loads(published.push["Build from the lock"].stdout)
    manifest = published.client().manifest(PUBLISHED_TO, published.result["digest"])
    assert manifest.json["config"]["digest"] == built["id"]
    assert published.result["pushed"]


def test_the_image_is_published_with_signature_and_bill_of_materials(published: Published) -> None:
    result = published.result
    assert result["signature"]
    assert result["provenance"]
    assert result["sbom"]


def test_the_key_is_deleted_and_the_password_is_printed_nowhere(published: Published) -> None:
    assert not (Path(published.variables["RUNNER_TEMP"]) / "slipway.key").exists()
    for done in (*published.pull_request.values(), *published.push.values()):
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
    digest, built = published.result["digest"], json.loads(published.push["Build from the lock"].stdout)
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
