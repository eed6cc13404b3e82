"""Detect the GPUs and the CPU of this host: one module for each vendor, each reads below a root folder."""
