"""The choice of a builder and its command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errors import Failed, Refused
from images.build import backend
from images.build.backend import Builder, BuildRequest, argv, choose

REQUEST = BuildRequest(
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
def test_argv_has_the_whole_request_for_every_backend(name: str) -> None:
    line = " ".join(argv(Builder(name, ("tool", "build")), REQUEST))
    assert line.startswith("tool build --file ctx/wheel.Dockerfile --iidfile id")
    for part in (
        "--build-arg BASE=debian@sha256:1",
        "--secret id=pip,src=pip.env",
        "--no-cache",
        "--cache-from reg/cache",
        "BUILDKIT_INLINE_CACHE=1" if name == "buildkit" else "--cache-to type=inline",
    ):
        assert part in line
    assert line.endswith(" ctx")
    assert ("--progress=plain" in line) == (name != "podman")


def test_argv_adds_the_registry_to_a_local_base_for_podman() -> None:
    request = BuildRequest(Path("ctx"), build_args=(("BASE", "slipway/base-bookworm:1"),))
    assert "BASE=docker.io/slipway/base-bookworm:1" in argv(Builder("podman", ("podman", "build")), request)


def test_argv_refuses_a_cache_in_a_registry_without_buildx() -> None:
    with pytest.raises(Refused, match="needs buildx"):
        argv(
            Builder("buildkit", ("docker", "build")), replace(REQUEST, cache_to="type=registry,ref=reg/cache")
        )


def write_client(folder: Path, version: str, buildx: bool) -> None:
    """Write a script that answers as a docker client of that version does."""
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


def set_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", ":".join(map(str, (*folders, "/usr/bin", "/bin"))))
    monkeypatch.setattr("shutil.which", lambda name: None)


def available_below(folder: Path) -> list[Builder]:
    """The builders found, without those of this host."""
    return [builder for builder in backend.available() if str(folder) in builder.command[0]]


def test_available_skips_a_new_client_without_buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_client(tmp_path / "new", "28.2.2", buildx=False)
    set_path(monkeypatch, tmp_path / "new")
    assert available_below(tmp_path) == []


def test_available_lists_buildx_before_an_old_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_client(tmp_path / "old", "20.10.24", buildx=False)
    write_client(tmp_path / "new", "28.2.2", buildx=True)
    set_path(monkeypatch, tmp_path / "old", tmp_path / "new")
    found = available_below(tmp_path)
    assert [builder.name for builder in found] == ["buildx", "buildkit"]
    assert found[0].command[0] == str(tmp_path / "new" / "docker")
    assert found[1].env == (("DOCKER_BUILDKIT", "1"),)


def test_available_skips_a_file_named_docker_that_is_not_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("not a program")
    (tmp_path / "docker").chmod(0o755)
    set_path(monkeypatch, tmp_path)
    assert available_below(tmp_path) == []


def test_choose_returns_the_named_backend_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "available", lambda: iter([Builder("buildkit", ("docker", "build"))]))
    assert choose().name == "buildkit"
    assert choose("buildkit").name == "buildkit"
    with pytest.raises(Failed, match="no podman builder"):
        choose("podman")
    with pytest.raises(Refused, match="unknown backend 'kaniko'"):
        choose("kaniko")


def test_choose_names_the_package_to_install_if_there_is_no_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "available", lambda: iter([]))
    with pytest.raises(Failed) as failed:
        choose()
    assert "docker.io" in failed.value.fix
