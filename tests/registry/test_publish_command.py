"""`invoke publish` as its user types it: what is refused before anything is sent."""

import pytest

from tests.invocation import invoke

TO = ("--to", "127.0.0.1:9/slipway/vllm")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--platform", "cpu", "--unsigned"), "--to is missing"),
        (("--platform", "cpu", *TO), "neither --key nor --unsigned"),
        (("--platform", "cpu", *TO, "--key", "/no/such.key"), "/no/such.key is not there"),
        (("--platform", "rocn", *TO, "--unsigned"), "unknown platform 'rocn'"),
        (("--platform", "cpu", "--to", "nowhere", "--unsigned"), "that names no registry"),
        (("--platform", "cpu", *TO, "--unsigned", "--registry", "elsewhere"), "--registry elsewhere"),
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
