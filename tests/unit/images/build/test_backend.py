from dataclasses import replace
from pathlib import Path

import pytest

from errors import Failed, Refused
from images.build import backend
from images.build.backend import Builder, Request, argv, choose

ASKED = Request(
    context=Path("ctx"),
    dockerfile=Path("ctx/wheel.Dockerfile"),
    id_file=Path("id"),
    build_args=(("BASE", "debian@sha256:1"),),
    secrets=(("pip", Path("pip.env")),),
    no_cache=True,
    cache_from="reg/cache",
    cache_to="type=inline",
)


@pytest.mark.parametrize("name", ["buildx", "buildkit", "podman"])
def test_every_backend_gets_the_same_request(name):
    words = " ".join(argv(Builder(name, ("tool", "build")), ASKED))
    assert words.startswith("tool build --file ctx/wheel.Dockerfile --iidfile id")
    for part in (
        "--build-arg BASE=debian@sha256:1",
        "--secret id=pip,src=pip.env",
        "--no-cache",
        "--cache-from reg/cache",
        "BUILDKIT_INLINE_CACHE=1" if name == "buildkit" else "--cache-to type=inline",
    ):
        assert part in words
    assert words.endswith(" ctx")
    assert ("--progress=plain" in words) == (name != "podman")


def test_a_cache_elsewhere_takes_buildx():
    with pytest.raises(Refused, match="needs buildx"):
        argv(Builder("buildkit", ("docker", "build")), replace(ASKED, cache_to="type=registry,ref=reg/cache"))


def client(folder: Path, version: str, buildx: bool) -> None:
    """A docker client that answers what the real ones answer."""
    folder.mkdir()
    script = folder / "docker"
    script.write_text(
        f"""#!/bin/sh
case "$1" in
  --version) echo "Docker version {version}, build abc" ;;
  buildx) {"echo github.com/docker/buildx v0.19" if buildx else "exit 1"} ;;
esac
"""
    )
    script.chmod(0o755)


def path(monkeypatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", ":".join(map(str, (*folders, "/usr/bin", "/bin"))))
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)


def ours(tmp_path):
    """What of this host's own tools does not count."""
    return [b for b in backend.available() if str(tmp_path) in b.words[0]]


def test_a_new_client_without_buildx_cannot_build(tmp_path, monkeypatch):
    client(tmp_path / "new", "28.2.2", buildx=False)
    path(monkeypatch, tmp_path / "new")
    assert ours(tmp_path) == []


def test_buildx_comes_before_a_client_that_builds_by_itself(tmp_path, monkeypatch):
    client(tmp_path / "old", "20.10.24", buildx=False)
    client(tmp_path / "new", "28.2.2", buildx=True)
    path(monkeypatch, tmp_path / "old", tmp_path / "new")
    found = ours(tmp_path)
    assert [b.name for b in found] == ["buildx", "buildkit"]
    assert found[0].words[0] == str(tmp_path / "new" / "docker")
    assert found[1].env == (("DOCKER_BUILDKIT", "1"),)


def test_the_forced_backend_is_taken_or_missed(monkeypatch):
    monkeypatch.setattr(backend, "available", lambda: iter([Builder("buildkit", ("docker", "build"))]))
    assert choose().name == "buildkit"
    assert choose("buildkit").name == "buildkit"
    with pytest.raises(Failed, match="no podman builder"):
        choose("podman")
    with pytest.raises(Refused, match="unknown backend 'kaniko'"):
        choose("kaniko")


def test_without_any_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(backend, "available", lambda: iter([]))
    with pytest.raises(Failed) as failed:
        choose()
    assert "docker.io" in failed.value.fix


def test_what_is_called_docker_and_is_no_program_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("not a program")
    (tmp_path / "docker").chmod(0o755)
    path(monkeypatch, tmp_path)
    assert ours(tmp_path) == []
