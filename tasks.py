"""Slipway's commands: from a vLLM recipe to a serving, measured container. `invoke --list` shows them."""

from __future__ import annotations

from pathlib import Path

from invoke import Collection
from invoke.main import program

from commands import (
    bench,
    build,
    demo,
    diagnose,
    host,
    parser_errors,
    pin,
    plan,
    publish,
    run,
    servers,
    weights,
)
from commands.task import SETTINGS

parser_errors.teach(program)
parser_errors.check_settings(Path(__file__).with_name("invoke.yaml"))

ns = Collection()
for module in (host, build, pin, publish, weights, plan, run, servers, bench, diagnose, demo):
    for task in Collection.from_module(module).tasks.values():
        ns.add_task(task)
options = (option for task in ns.tasks.values() for option in task.options if option.setting)
ns.configure({"slipway": dict.fromkeys([*SETTINGS, *(option.key for option in options)], "")})
