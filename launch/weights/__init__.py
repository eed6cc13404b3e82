"""The weights: fetched once, proven to the byte, in the Hugging Face cache where vLLM and `hf` find them."""

from __future__ import annotations

from launch.weights.fetching import fetch
from launch.weights.meter import Meter
from launch.weights.snapshot import Snapshot, check
from launch.weights.verifying import Report, verify

__all__ = ["Meter", "Report", "Snapshot", "check", "fetch", "verify"]
