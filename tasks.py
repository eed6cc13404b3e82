"""Slipway's verbs as an invoke namespace: `invoke` in a clone and the `slipway` command both use it."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# invoke switches compiled modules off, so that each start would compile all of them again (0.05 s).
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
# pydantic would read the metadata of every installed package to find plugins, and Slipway uses none (0.04 s).
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# Most of what a start creates lives until its end: to look for garbage among it is in vain (0.03 s).
gc.set_threshold(50_000)

from commands import interrupt  # noqa: E402

with interrupt.quiet():
    from invoke.collection import Collection
    from invoke.main import program

    from commands import (
        accept,
        bench,
        build,
        demo,
        deploy,
        diagnose,
        fetch,
        host,
        login,
        models,
        pin,
        plan,
        ps,
        publish,
        recipes,
        report,
        run,
        serve_weights,
        servers,
        supervise,
        top,
        verify,
    )
    from commands.verb_program import check_settings, teach

ns = Collection()
for module in (
    *(login, accept, bench, build, demo, deploy, diagnose, fetch, host, models),
    *(pin, plan, ps, publish, recipes, report, run, serve_weights, servers, supervise, top, verify),
):
    for task in Collection.from_module(module).tasks.values():
        ns.add_task(task)
check_settings(Path(__file__).with_name("invoke.yaml"), ns)
ns.configure({"slipway": {}})  # `commands/task.py` reads the settings of the environment
teach(program)
