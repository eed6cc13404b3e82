"""Serve models as a Hugging Face Hub: a folder or a cache, for hosts without internet access, the demo and tests.

It answers the requests that `huggingface_hub` sends to resolve, list and download a model, so the stock client
needs only HF_ENDPOINT.
"""

from __future__ import annotations

from launch.hub_server.server import HubHandler, HubServer, serve, serve_catalog, serve_folder

__all__ = ["HubHandler", "HubServer", "serve", "serve_catalog", "serve_folder"]
