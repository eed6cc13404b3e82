"""Facts about an engine: whether it is podman, and whether it passes NVIDIA GPUs by CDI name only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launch.engine import client as engine_client

CDI_FOLDERS = ["/etc/cdi", "/var/run/cdi"]


class Engine:
    """An engine's answers to a ping and to a request for information."""

    base_url = "http+docker://localhost"

    def __init__(self, podman: bool = False, **info: Any) -> None:
        self.api, self._info = self, info
        self.headers = {"Libpod-API-Version": "4.3.1"} if podman else {}

    def head(self, url: str) -> Engine:
        assert url == "http+docker://localhost/_ping"
        return self

    def info(self) -> dict[str, Any]:
        return self._info


@pytest.mark.parametrize(
    ("engine", "hook", "reason"),
    [
        (Engine(podman=True), "/usr/bin/hook", "podman takes GPUs by CDI name only"),
        (
            Engine(CDISpecDirs=CDI_FOLDERS, Runtimes={"runc": {}}),
            "",
            "the engine has no NVIDIA container toolkit and reads CDI specs",
        ),
        (Engine(CDISpecDirs=CDI_FOLDERS, Runtimes={"runc": {}, "nvidia": {}}), "", ""),
        (
            Engine(CDISpecDirs=CDI_FOLDERS, Runtimes={"runc": {}}),
            "/usr/bin/nvidia-container-runtime-hook",
            "",
        ),
        (Engine(CDISpecDirs=None, Runtimes=None), "", ""),
        (Engine(), "", ""),
    ],
)
def test_cdi_reason(monkeypatch: pytest.MonkeyPatch, engine: Any, hook: str, reason: str) -> None:
    monkeypatch.setattr(engine_client, "nvidia_hook", lambda: hook)
    assert engine_client.cdi_reason(engine) == reason


@pytest.mark.parametrize(("engine", "name"), [(Engine(DefaultRuntime="crun"), "crun"), (Engine(), "")])
def test_runtime_is_the_one_that_starts_containers(engine: Any, name: str) -> None:
    assert engine_client.runtime(engine) == name


def test_nvidia_hook_is_missing_with_only_the_base_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("nvidia-ctk", "nvidia-cdi-hook"):
        (tmp_path / name).touch(0o755)
    assert engine_client.nvidia_hook() == ""
    (tmp_path / "nvidia-container-runtime-hook").touch(0o755)
    assert engine_client.nvidia_hook() == str(tmp_path / "nvidia-container-runtime-hook")
