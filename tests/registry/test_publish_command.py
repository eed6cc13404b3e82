"""`invoke publish` as its user types it: what is refused before anything is sent."""

import json
import subprocess

import pytest

from tests.invocation import invoke

TO = ("--to", "127.0.0.1:9/slipway/vllm")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--platform", "cpu", "--unsigned"), "publish needs --to"),
        (("--platform", "cpu", *TO), "publish needs --key or --unsigned"),
        (("--platform", "cpu", *TO, "--key", "/no/such.key"), "/no/such.key is not there"),
        (("--platform", "rocn", *TO, "--unsigned"), "unknown platform 'rocn'"),
        (("--platform", "cpu", "--to", "nowhere", "--unsigned"), "that names no registry"),
        (("--platform", "cpu", "--to", "127.0.0.1:99999/x", "--unsigned"), "that names no registry"),
        (("--platform", "cpu", "--to", "http://127.0.0.1:9/x", "--unsigned"), "that names no registry"),
        (("--platform", "cpu", "--to", "127.0.0.1:9/Vllm", "--unsigned"), "'Vllm' is no repository's name"),
        (("--platform", "cpu", "--to", "127.0.0.1:9/vllm:1", "--unsigned"), "'vllm:1' is no repository's"),
        (("--platform", "cpu", "--to", "127.0.0.1:9/" + "a" * 250, "--unsigned"), "is no repository's name"),
        (("--platform", "cpu", *TO, "--unsigned", "--registry", "elsewhere"), "--registry elsewhere"),
        (("--platform", "cpu", *TO, "--unsigned", "--registry", "a=nonsense"), "that is no web address"),
    ],
)
def test_a_wrong_request_is_refused(words, said):
    done = invoke("publish", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_key_that_others_can_read_is_refused(tmp_path):
    key = tmp_path / "slipway.key"
    key.write_text("-----BEGIN EC PRIVATE KEY-----\n")
    key.chmod(0o644)
    done = invoke("publish", "--platform", "cpu", *TO, "--key", str(key))
    assert (done.code, "can be read by others" in done.err) == (2, True)
    key.chmod(0o600)
    done = invoke("publish", "--platform", "cpu", *TO, "--key", str(key))
    assert (done.code, "is no private key" in done.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [("genrsa", "2048"), ("genpkey", "-algorithm", "ed25519"), ("ecparam", "-name", "secp384r1", "-genkey")],
)
def test_a_key_of_another_kind_is_refused_before_anything_is_sent(tmp_path, words):
    key = tmp_path / "slipway.key"
    key.write_bytes(subprocess.run(["openssl", *words], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    done = invoke("publish", "--platform", "cpu", *TO, "--key", str(key))
    assert (done.code, "is no EC P-256 key" in done.err) == (2, True), done.err


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"127.0.0.1:9": null}}', "no password", "no base64"])
def test_logins_that_docker_did_not_write_are_named(tmp_path, text):
    made_up = {"no password": "YWJj", "no base64": "%%%"}
    if text in made_up:
        text = json.dumps({"auths": {"127.0.0.1:9": {"auth": made_up[text]}}})
    (tmp_path / "config.json").write_text(text)
    done = invoke("publish", "--platform", "cpu", *TO, "--unsigned", DOCKER_CONFIG=str(tmp_path))
    assert done.code == 2
    assert f"{tmp_path}/config.json holds no logins as docker writes them" in done.err


def test_a_dry_run_says_what_goes_where():
    said = invoke("publish", "--platform", "cpu", *TO, "--unsigned", "--dry-run", "--format", "json").json
    assert said["to"] == "127.0.0.1:9/slipway/vllm"
    assert said["image"].startswith("slipway/vllm-cpu:")
    assert said["signed"] is False


@pytest.mark.engine
def test_an_image_that_is_not_built_is_named_with_the_remedy(engine):
    done = invoke("publish", "--platform", "rocm-openai", *TO, "--unsigned")
    assert done.code == 1
    assert "is not on this engine" in done.err
    assert "invoke build --platform rocm-openai" in done.err
