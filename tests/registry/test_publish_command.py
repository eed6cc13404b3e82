"""`invoke publish` with wrong options, keys and logins, which are refused before anything is sent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient

TO = ("--to", "127.0.0.1:9/slipway/vllm")
CPU = ("publish", "--platform", "cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--unsigned",), "--to"),
        (TO, "--key"),
        ((*TO, "--key", "/no/such.key"), "/no/such.key does not exist"),
        (("--to", "nowhere", "--unsigned"), "--to 'nowhere'"),
        (("--to", "127.0.0.1:99999/x", "--unsigned"), "--to '127.0.0.1:99999/x'"),
        (("--to", "http://127.0.0.1:9/x", "--unsigned"), "--to 'http://127.0.0.1:9/x'"),
        (("--to", "127.0.0.1:9/Vllm", "--unsigned"), "'Vllm'"),
        (("--to", "127.0.0.1:9/vllm:1", "--unsigned"), "'vllm:1'"),
        (("--to", "127.0.0.1:9/" + "a" * 250, "--unsigned"), "--to '127.0.0.1:9/aaa"),
        ((*TO, "--unsigned", "--registry", "elsewhere"), "--registry elsewhere"),
        ((*TO, "--unsigned", "--registry", "a=nonsense"), "--registry a"),
    ],
)
def test_a_wrong_option_is_refused(options: tuple[str, ...], message: str) -> None:
    done = invoke(*CPU, *options)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_an_unknown_platform_is_refused() -> None:
    done = invoke("publish", "--platform", "rocn", *TO, "--unsigned")
    assert (done.code, "unknown platform 'rocn'" in done.err) == (2, True), done.err


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "slipway.key"
    key.write_text("-----BEGIN EC PRIVATE KEY-----\n")
    key.chmod(0o644)
    done = invoke(*CPU, *TO, "--key", str(key))
    assert (done.code, "other users can read the signing key" in done.err) == (2, True), done.err
    key.chmod(0o600)
    done = invoke(*CPU, *TO, "--key", str(key))
    assert (done.code, "is not a private key" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    "arguments",
    [("genrsa", "2048"), ("genpkey", "-algorithm", "ed25519"), ("ecparam", "-name", "secp384r1", "-genkey")],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    key = tmp_path / "slipway.key"
    key.write_bytes(subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    done = invoke(*CPU, *TO, "--key", str(key))
    assert (done.code, "is not an EC P-256 key" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": {"127.0.0.1:9": null}}',
        json.dumps({"auths": {"127.0.0.1:9": {"auth": "YWJj"}}}),  # "abc" has no password
        json.dumps({"auths": {"127.0.0.1:9": {"auth": "%%%"}}}),  # not base64
    ],
)
def test_a_broken_docker_login_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    done = invoke(*CPU, *TO, "--unsigned", DOCKER_CONFIG=str(tmp_path))
    assert done.code == 2
    assert f"{tmp_path}/config.json" in done.err


def test_a_dry_run_shows_the_image_and_the_target() -> None:
    shown = invoke(*CPU, *TO, "--unsigned", "--dry-run", "--format", "json").json
    assert shown["to"] == "127.0.0.1:9/slipway/vllm"
    assert shown["image"].startswith("slipway/vllm-cpu:")
    assert shown["signed"] is False


@pytest.mark.engine
def test_an_image_that_is_not_built_is_named_with_the_command_to_build_it(engine: DockerClient) -> None:
    done = invoke("publish", "--platform", "rocm", "--channel", "nightly", *TO, "--unsigned")
    assert done.code == 1
    assert "is not on this engine" in done.err
    assert "invoke build --platform rocm --channel nightly" in done.err
