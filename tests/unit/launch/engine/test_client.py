"""What an engine says of itself, and the ways that leaves to NVIDIA's GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from launch.engine import client as engine_client


class Said:
    """An engine's answers to a ping and to info."""

    base_url = "http+docker://localhost"

    def __init__(self, *heads: str, **info: Any) -> None:
        self.api, self.headers, self._info = self, dict.fromkeys(heads, "4.3.1"), info

    def head(self, url: str) -> Said:
        assert url == "http+docker://localhost/_ping"
        return self

    def info(self) -> dict[str, Any]:
        return self._info


DIRS = ["/etc/cdi", "/var/run/cdi"]


@pytest.mark.parametrize(
    ("client", "hook", "why"),
    [
        (Said("Libpod-API-Version"), "/usr/bin/hook", "podman takes GPUs by CDI name only"),
        (
            Said(CDISpecDirs=DIRS, Runtimes={"runc": {}}),
            "",
            "no NVIDIA container toolkit and reads CDI specs",
        ),
        (Said(CDISpecDirs=DIRS, Runtimes={"runc": {}, "nvidia": {}}), "", ""),
        (Said(CDISpecDirs=DIRS, Runtimes={"runc": {}}), "/usr/bin/nvidia-container-runtime-hook", ""),
        (Said(CDISpecDirs=None, Runtimes=None), "", ""),
        (Said(), "", ""),
    ],
)
def test_when_cdi_is_the_only_way(monkeypatch: pytest.MonkeyPatch, client: Any, hook: str, why: str) -> None:
    monkeypatch.setattr(engine_client, "nvidia_hook", lambda: hook)
    said = engine_client.by_cdi_alone(client)
    assert said.endswith(why) if why else said == ""


def test_the_base_package_alone_has_no_hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("nvidia-ctk", "nvidia-cdi-hook"):
        (tmp_path / name).touch(0o755)
    assert engine_client.nvidia_hook() == ""
    (tmp_path / "nvidia-container-runtime-hook").touch(0o755)
    assert engine_client.nvidia_hook() == str(tmp_path / "nvidia-container-runtime-hook")
