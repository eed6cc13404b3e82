"""Slipway's verbs as an invoke namespace: `invoke` in a clone and the `slipway` command both use it."""

from __future__ import annotations

import sys
from pathlib import Path

# invoke switches compiled modules off, so that each start would compile all of them again (0.05 s).
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from commands import interrupt  # noqa: E402

with interrupt.quiet():
    from invoke.collection import Collection
    from invoke.main import program

    from commands import (
        accept,
        bench,
        build,
        demo,
        diagnose,
        fetch,
        host,
        login,
        models,
        pin,
        plan,
        ps,
        publish,
        run,
        serve_weights,
        servers,
        supervise,
        verify,
    )
    from commands.verb_program import check_settings, settings_of, teach

ns = Collection()
for module in (
    *(login, accept, bench, build, demo, diagnose, fetch, host, models),
    *(pin, plan, ps, publish, run, serve_weights, servers, supervise, verify),
):
    for task in Collection.from_module(module).tasks.values():
        ns.add_task(task)
check_settings(Path(__file__).with_name("invoke.yaml"), ns)
ns.configure({"slipway": dict.fromkeys(settings_of(ns), "")})
teach(program)
