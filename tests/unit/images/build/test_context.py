import os

from images.build import context
from images.lock.lockfile import load, parse


def platform(**python):
    base = {"repository": "r", "digest": "sha256:" + "a" * 64, "source": "s"}
    vllm = {
        "package": "vllm",
        "version": "0.33.0",
        "wheel": "https://wheels/vllm-0.33.0%2Bcu130-cp38-abi3-linux_x86_64.whl",
        "sha256": "b" * 64,
        "source": "s",
    }
    python = {"requirements": "cpu/requirements.txt", "sha256": "", **python}
    data = {"schema": 1, "platforms": {"cuda-wheel": {"base": base, "vllm": vllm, "python": python}}}
    return parse(data).platform("cuda-wheel")


def test_pip_settings_become_those_of_uv(monkeypatch):
    for name in context._PROXIES:
        monkeypatch.delenv(name, raising=False)
    env = context.uv_environment(
        {
            "index-url": "https://index/simple",
            "extra-index-url": "file:///local https://more/simple",
            "trusted-host": "index",
        },
        "https://wheels/cpu",
    )
    assert env == {
        "UV_DEFAULT_INDEX": "https://index/simple",
        "UV_INDEX": "https://more/simple https://wheels/cpu",
        "UV_INSECURE_HOST": "index",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_a_proxy_for_the_build_comes_before_the_hosts_own(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://host:1")
    assert context.uv_environment({}, "", "http://build:2")["HTTPS_PROXY"] == "http://build:2"
    assert 'Acquire::http::Proxy "http://build:2";' in context.apt_settings("http://build:2")


def test_words_for_a_shell_are_quoted():
    assert context.shell_words({"UV_INDEX": "https://a https://b"}) == "UV_INDEX='https://a https://b'\n"


def test_a_wheel_of_its_own_address_joins_the_hashed_requirements(tmp_path):
    context.assemble(tmp_path, "cuda-wheel", platform(), [])
    last = (tmp_path / "requirements.txt").read_text().splitlines()[-1]
    assert last.startswith("vllm @ https://wheels/vllm-0.33.0%2Bcu130")
    assert last.endswith("--hash=sha256:" + "b" * 64)
    assert (tmp_path / "install.sh").exists()


def test_a_mirrored_wheel_is_installed_from_the_context(tmp_path):
    wheel = tmp_path / "vllm-0.33.0+cu130-cp38-abi3-linux_x86_64.whl"
    wheel.write_bytes(b"wheel")
    context.assemble(tmp_path / "ctx", "cuda-wheel", platform(), [wheel])
    assert "vllm @ file:///run/wheels/vllm-0.33.0+cu130" in (tmp_path / "ctx/requirements.txt").read_text()
    assert (tmp_path / "ctx/wheels" / wheel.name).read_bytes() == b"wheel"


def test_the_requirements_are_those_beside_the_lock(tmp_path):
    """With --lock elsewhere/lock.yaml the pinned file lies there, and ours may be another."""
    (tmp_path / "elsewhere/cpu").mkdir(parents=True)
    (tmp_path / "elsewhere/cpu/requirements.txt").write_text("tinydep==1.0\n")
    context.assemble(tmp_path / "ctx", "cuda-wheel", platform(), [], tmp_path / "elsewhere")
    assert (tmp_path / "ctx/requirements.txt").read_text().startswith("tinydep==1.0\nvllm @ ")


def test_an_image_above_a_full_base_sees_only_its_own_files(tmp_path):
    context.assemble(tmp_path, "rocm-openai", load().platform("rocm-openai"), [])
    assert [p.name for p in tmp_path.iterdir()] == ["Dockerfile"]


def test_only_wheels_that_the_lock_names_are_taken(tmp_path):
    for name in ("torch-1+cpu.whl", "other.whl"):
        (tmp_path / name).write_bytes(b"")
    found = context.local_wheels({"find-links": f"{tmp_path} file://{tmp_path}"}, {"torch-1+cpu.whl": ""})
    assert {p.name for p in found} == {"torch-1+cpu.whl"}


def test_a_second_filling_changes_no_times(tmp_path):
    for _ in range(2):
        context.assemble(tmp_path, "cuda-wheel", platform(), [])
        times = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir() if p.is_file()}
    context.assemble(tmp_path, "cuda-wheel", platform(), [])
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir() if p.is_file()} == times


def test_the_tag_follows_our_own_files(tmp_path, monkeypatch):
    was = context.own_files("cpu")
    assert was == context.own_files("cpu") != context.own_files("rocm")
    for folder in ("cpu", "wheels"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(context, "HERE", tmp_path)
    empty = context.own_files("cpu")
    (tmp_path / "cpu" / "requirements.txt").write_text("the lock has its hash already")
    assert context.own_files("cpu") == empty
    (tmp_path / "cpu" / "Dockerfile").write_text("FROM scratch")
    assert context.own_files("cpu") != empty


def test_the_ca_bundle_is_the_one_the_host_names(tmp_path, monkeypatch):
    for name in context.CA_BUNDLE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert context.ca_bundle({}) is None
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    assert context.ca_bundle({"cert": str(bundle)}) == bundle
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    assert context.ca_bundle({"cert": str(bundle)}) == bundle
