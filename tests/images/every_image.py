"""What holds for every image, whatever it serves on. A platform's class inherits it and adds to it."""

from __future__ import annotations

import json
import re

import pytest

from images import capabilities
from images.build.pipeline import ENTRYPOINT, inputs
from images.lock.lockfile import family, load

SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|BEGIN [A-Z ]*PRIVATE KEY|_authToken|://[^/\s:@]+:[^/\s@]+@|AKIA[0-9A-Z]{16}"
)


class EveryImage:
    """Facts about a started container (`host`), its image's attributes (`attrs`) and its id (`image`)."""

    platform = ""
    largest = 0.0  # GB

    def test_it_runs_as_a_user_without_rights(self, host, attrs):
        assert attrs["Config"]["User"] == "2000:0"
        assert host.check_output("id -u") == "2000"
        assert host.check_output("id -g") == "0"

    def test_any_user_has_a_home_and_a_name(self, engine, image):
        said = engine.containers.run(
            image,
            entrypoint=["python3", "-c"],
            command=["import getpass, pathlib; (pathlib.Path.home()/'x').touch(); print(getpass.getuser())"],
            user="12345:0",
            network_mode="none",
            remove=True,
        )
        assert said.decode().strip() == "vllm"

    def test_nothing_gives_more_rights_than_its_caller_has(self, as_root):
        assert as_root("find / -xdev -type f -perm /6000 2>/dev/null") == ""

    def test_nothing_of_ours_can_be_changed_by_the_server(self, host):
        assert host.run("test -w /opt -o -w /usr -o -w /etc").rc == 1

    def test_it_serves_and_says_when_it_does(self, attrs):
        config = attrs["Config"]
        assert tuple(config["Entrypoint"]) == ENTRYPOINT
        assert "8000/tcp" in config["ExposedPorts"]
        assert "127.0.0.1:8000/health" in " ".join(config["Healthcheck"]["Test"])

    def test_its_labels_say_what_went_in(self, attrs):
        labels = attrs["Config"]["Labels"]
        pins = load().platform(self.platform)
        assert labels["slipway.platform"] == family(self.platform)
        assert labels["slipway.lock"] == inputs(self.platform, pins)
        assert labels["slipway.vllm"].startswith(pins.vllm.version)
        assert labels.get("org.opencontainers.image.revision", "") == pins.vllm.commit
        assert labels["org.opencontainers.image.title"]

    def test_the_contract_is_what_it_says_of_itself_now(self, engine, image, attrs):
        assert capabilities.read(engine, image).as_json() == attrs["Config"]["Labels"][capabilities.LABEL]

    def test_the_contract_agrees_with_the_lock(self, attrs):
        found = capabilities.parse(attrs["Config"]["Labels"][capabilities.LABEL])
        assert capabilities.differences(self.platform, load().platform(self.platform), found) == []

    def test_the_contract_knows_what_a_plan_asks_for(self, attrs):
        found = capabilities.parse(attrs["Config"]["Labels"][capabilities.LABEL])
        assert "--tensor-parallel-size" in found.flags
        assert "VLLM_HOST_IP" in found.env
        assert "minimax_m2" in found.tool_parsers
        assert "minimax_m2_append_think" in found.reasoning_parsers

    def test_no_secret_is_in_its_history_labels_or_environment(self, engine, image, attrs):
        told = json.dumps([attrs["Config"], engine.images.get(image).history()])
        assert not SECRET.search(told)

    def test_no_setting_of_the_builder_is_left(self, host):
        for path in (
            "/run/builder-pip.env",
            "/run/builder-ca.crt",
            "/etc/apt/apt.conf.d/90builder",
            "/run/uv",
        ):
            assert not host.file(path).exists, path
        assert host.run("ls /root/.netrc /root/.pypirc /root/.cache 2>/dev/null").stdout == ""

    def test_no_package_lists_are_left(self, host):
        assert host.run("find /var/lib/apt/lists -type f -size +0 2>/dev/null").stdout == ""

    def test_it_stays_within_its_budget(self, attrs):
        assert self.largest, "no budget said"
        assert attrs["Size"] / 1e9 <= self.largest


class FromWheels(EveryImage):
    """An image that we install from hashed wheels on a plain base."""

    def test_the_packages_are_those_of_the_lock(self, host):
        pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", self.requirements().read_text(), re.MULTILINE))
        listed = host.check_output("ls -d /opt/vllm/lib/python3*/site-packages/*.dist-info")
        found = {re.sub(r"[-_.]+", "-", name).lower(): v for name, v in _names(listed)}
        for name in ("torch", "transformers", "tokenizers"):
            assert found[name] == pins[name]
        assert set(found) - set(pins) <= {"vllm", "slipway-cpu"}

    def test_vllms_metadata_says_its_version(self, host, attrs):
        said = host.check_output("python3 -c 'import importlib.metadata as m; print(m.version(\"vllm\"))'")
        assert said == attrs["Config"]["Labels"]["slipway.vllm"]

    def test_every_module_of_the_server_is_compiled(self, host):
        site = host.check_output("echo /opt/vllm/lib/python3*/site-packages")
        assert host.check_output(f"ls {site}/vllm/entrypoints/__pycache__ | head -1").endswith(".pyc")

    def test_where_the_builder_got_its_wheels_is_not_told(self, host, builders_places):
        for place in builders_places:
            found = host.run(
                f"grep -rlF --include=*.json --include=RECORD --include=*.txt {place!r} /opt /etc /run"
            )
            assert found.stdout == "", place

    def requirements(self):
        from images.lock.lockfile import LOCK

        return LOCK.parent / load().platform(self.platform).python.requirements


def _names(listed: str):
    for path in listed.split():
        name, _, version = path.rsplit("/", 1)[-1].removesuffix(".dist-info").partition("-")
        yield name, version


def no_compiler(host) -> None:
    for tool in ("gcc", "cc", "g++", "clang", "nvcc", "make"):
        if host.exists(tool):
            pytest.fail(f"{tool} was left behind")
