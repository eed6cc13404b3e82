"""A folder served as a Hugging Face Hub: for hosts without the internet, for the demo, and for the tests.

It answers what `huggingface_hub` asks when it resolves, lists and downloads a model, so the stock client
works against it with nothing but HF_ENDPOINT set. Tests can make it misbehave (`faults.py`).
"""

from __future__ import annotations

from launch.hub_server.faults import Fault
from launch.hub_server.server import HubServer, serve, serve_folder

__all__ = ["Fault", "HubServer", "serve", "serve_folder"]
