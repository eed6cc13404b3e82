"""Slipway's commands: from a vLLM recipe to a serving, measured container. `invoke --list` shows them."""

from __future__ import annotations

from invoke import Collection

from commands import bench, build, demo, diagnose, host, pin, plan, publish, run, servers, weights
from commands.verb import SETTINGS

ns = Collection()
for module in (host, build, pin, publish, weights, plan, run, servers, bench, diagnose, demo):
    for task in Collection.from_module(module).tasks.values():
        ns.add_task(task)
ns.configure({"slipway": dict.fromkeys(SETTINGS, "")})
