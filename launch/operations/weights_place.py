"""Where a user says that the weights of a cluster are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightsPlace:
    """Where the user says that the weights are; empty fields leave it to Slipway."""

    claim: str = ""
    path: str = ""
    lock: str = ""
