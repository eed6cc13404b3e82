"""Slipway's container images: the lock, the Dockerfiles of three platforms, build, capabilities, publishing."""
