"""Tests for every image. The class of a platform inherits them and adds its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import capabilities
from images.build.local_name import inputs
from images.lock.lockfile import LOCK, load
from images.lock.schema import LockedImage
from launch.planning.image_choice import ENTRYPOINT
from launch.spec.capabilities import Capabilities

if TYPE_CHECKING:
    from docker import DockerClient
    from testinfra.host import Host

SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|BEGIN [A-Z ]*PRIVATE KEY|_authToken|://[^/\s:@]+:[^/\s@]+@|AKIA[0-9A-Z]{16}"
)


class EveryImage:
    """Tests of a started container (`host`), its image's attributes (`attrs`) and its tag (`image`)."""

    platform, channel = "", ""
    max_gb = 0.0

    @classmethod
    def locked(cls) -> LockedImage:
        """The image in the lock."""
        return load().image(cls.platform, cls.channel)

    def test_it_runs_as_an_unprivileged_user(self, host: Host, attrs: dict[str, Any]) -> None:
        assert attrs["Config"]["User"] == "2000:0"
        assert host.check_output("id -u") == "2000"
        assert host.check_output("id -g") == "0"

    def test_any_user_has_a_home_and_a_name(self, engine: DockerClient, image: str) -> None:
        output = engine.containers.run(
            image,
            entrypoint=["python3", "-c"],
            command=["import getpass, pathlib; (pathlib.Path.home()/'x').touch(); print(getpass.getuser())"],
            user="12345:0",
            network_mode="none",
            remove=True,
        )
        assert output.decode().strip() == "vllm"

    def test_no_file_is_set_user_id_or_set_group_id(self, as_root: Callable[[str], str]) -> None:
        assert as_root("find / -xdev -type f -perm /6000 2>/dev/null") == ""

    def test_the_server_cannot_change_programs_and_settings(self, host: Host) -> None:
        assert host.run("test -w /opt -o -w /usr -o -w /etc").rc == 1

    def test_it_serves_and_has_a_health_check(self, attrs: dict[str, Any]) -> None:
        config = attrs["Config"]
        assert tuple(config["Entrypoint"]) == ENTRYPOINT
        assert "8000/tcp" in config["ExposedPorts"]
        assert "127.0.0.1:8000/health" in " ".join(config["Healthcheck"]["Test"])

    def test_its_labels_name_its_inputs(self, attrs: dict[str, Any]) -> None:
        labels = attrs["Config"]["Labels"]
        pins = self.locked().pins
        assert labels["slipway.platform"] == self.platform
        assert labels["slipway.channel"] == self.locked().channel
        assert labels["slipway.lock"] == inputs(self.locked())
        assert labels["slipway.vllm"].startswith(pins.vllm.version)
        assert labels.get("org.opencontainers.image.revision", "") == pins.vllm.commit
        assert labels["org.opencontainers.image.title"]

    def test_the_label_has_the_capabilities_that_are_read_now(
        self, engine: DockerClient, image: str, attrs: dict[str, Any]
    ) -> None:
        assert capabilities.read(engine, image).as_json() == attrs["Config"]["Labels"][capabilities.LABEL]

    def test_the_capabilities_agree_with_the_lock(self, found: Capabilities) -> None:
        assert capabilities.differences(self.locked(), found) == []

    def test_the_capabilities_include_what_a_plan_needs(self, found: Capabilities) -> None:
        assert "--tensor-parallel-size" in found.flags
        assert "VLLM_HOST_IP" in found.env
        assert "minimax_m2" in found.tool_parsers
        assert "minimax_m2_append_think" in found.reasoning_parsers

    def test_history_labels_and_environment_contain_no_secret(
        self, engine: DockerClient, image: str, attrs: dict[str, Any]
    ) -> None:
        text = json.dumps([attrs["Config"], engine.images.get(image).history()])
        assert not SECRET.search(text)

    def test_no_setting_of_the_build_host_is_left(self, host: Host) -> None:
        for path in (
            "/run/builder-pip.env",
            "/run/builder-ca.crt",
            "/etc/apt/apt.conf.d/90builder",
            "/run/uv",
        ):
            assert not host.file(path).exists, path
        assert host.run("ls /root/.netrc /root/.pypirc /root/.cache 2>/dev/null").stdout == ""

    def test_no_package_lists_are_left(self, host: Host) -> None:
        assert host.run("find /var/lib/apt/lists -type f -size +0 2>/dev/null").stdout == ""

    def test_it_is_not_larger_than_its_limit(self, attrs: dict[str, Any]) -> None:
        assert self.max_gb, "the class sets no limit"
        assert attrs["Size"] / 1e9 <= self.max_gb


class FromWheels(EveryImage):
    """Tests for an image that Slipway installs from hashed wheels on a plain base."""

    def test_the_packages_are_those_of_the_lock(self, host: Host) -> None:
        pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", self.requirements().read_text(), re.MULTILINE))
        listed = host.check_output("ls -d /opt/vllm/lib/python3*/site-packages/*.dist-info")
        found = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _packages(listed)}
        for name in ("torch", "transformers", "tokenizers"):
            assert found[name] == pins[name]
        assert set(found) - set(pins) <= {"vllm", "slipway-cpu"}

    def test_the_metadata_of_vllm_has_its_version(self, host: Host, attrs: dict[str, Any]) -> None:
        version = host.check_output("python3 -c 'import importlib.metadata as m; print(m.version(\"vllm\"))'")
        assert version == attrs["Config"]["Labels"]["slipway.vllm"]

    def test_the_modules_of_the_server_are_compiled(self, host: Host) -> None:
        site = host.check_output("echo /opt/vllm/lib/python3*/site-packages")
        assert host.check_output(f"ls {site}/vllm/entrypoints/__pycache__ | head -1").endswith(".pyc")

    def test_the_image_does_not_name_the_package_sources_of_the_build_host(
        self, host: Host, package_sources: list[str]
    ) -> None:
        for source in package_sources:
            files = host.run(
                f"grep -rlF --include=*.json --include=RECORD --include=*.txt {source!r} /opt /etc /run"
            )
            assert files.stdout == "", source

    def requirements(self) -> Path:
        """The requirements file of the platform."""
        return LOCK.parent / self.locked().pins.python.requirements


def _packages(listed: str) -> Iterator[tuple[str, str]]:
    for path in listed.split():
        name, _, version = path.rsplit("/", 1)[-1].removesuffix(".dist-info").partition("-")
        yield name, version


def assert_no_compiler(host: Host) -> None:
    """Fail if the image contains a compiler."""
    tools = ("gcc", "cc", "g++", "clang", "nvcc", "make")
    assert [tool for tool in tools if host.exists(tool)] == []
