"""Diagnose a server that exited, from its container's log and exit state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errors import Failed
from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.engine.log_stream import split_lines

if TYPE_CHECKING:
    from docker.models.containers import Container


class ServerExited(Failed):
    """A server that exited before it served; `diagnosis` tells why, as far as its log shows."""

    def __init__(self, what: str, diagnosis: Diagnosis, fix: str = "") -> None:
        super().__init__(what, why="\n    ".join(diagnosis.evidence), fix=fix or diagnosis.fix)
        self.diagnosis = diagnosis


def read_exit(container: Container) -> DiagnosisInput:
    """Read the log, which streams in, and the exit state; the exit code is None while the container runs."""
    state = container.attrs["State"]
    exited = state.get("Status") in ("exited", "dead", "created", "removing")
    return DiagnosisInput(
        split_lines(container.logs(stream=True, follow=False)),
        exit_code=state.get("ExitCode") if exited else None,
        oom_killed=bool(state.get("OOMKilled")),
        engine_error=state.get("Error") or "",
    )


def server_exited(container: Container, phase: str) -> ServerExited:
    """Return the error for a container that exited in a phase of its start."""
    container.reload()
    exit_state = read_exit(container)
    diagnosis = diagnose(exit_state)
    cause = (
        diagnosis.cause if diagnosis.known else f"unknown cause; first exception: {diagnosis.first_exception}"
    )
    if exit_state.oom_killed:
        return ServerExited(
            f"{container.name} ran out of memory and was killed in the phase '{phase}': {cause}", diagnosis
        )
    if exit_state.exit_code is not None:
        return ServerExited(
            f"{container.name} exited with {exit_state.exit_code} in the phase '{phase}': {cause}", diagnosis
        )
    # The container was started again, so the engine no longer reports the exit code; or it is paused.
    restarted = container.attrs.get("RestartCount")
    state = "is being restarted by its restart policy" if restarted else f"is {container.status}"
    fix = f"run `invoke stop` to stop it; {diagnosis.fix}".removesuffix("; ") if restarted else ""
    return ServerExited(f"{container.name} {state}, in the phase '{phase}': {cause}", diagnosis, fix)
