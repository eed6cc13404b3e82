"""The weights: fetched once, proven to the byte, in the Hugging Face cache where vLLM and `hf` find them."""

from __future__ import annotations

from launch.weights.fetch import fetch
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot, check
from launch.weights.verify import Report, verify

__all__ = ["Report", "Snapshot", "TransferProgress", "check", "fetch", "verify"]
