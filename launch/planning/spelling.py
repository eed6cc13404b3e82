"""Write out the options of the user, so that every step of the planner knows them by the name that vLLM uses.

vLLM's parser completes `--tensor-parallel` to --tensor-parallel-size, and reads -O as --optimization-level.
"""

from __future__ import annotations

from dataclasses import replace

from launch.planning.known_names import Known, written_out
from launch.planning.user_limits import OWN
from launch.spec.plan_options import Pairs, PlanOptions
from launch.spec.vllm_args import Arg


def spelled_out(options: PlanOptions, known: Known) -> tuple[PlanOptions, tuple[str, ...]]:
    """Return the options with the full names of those that --set sets, and a note on each that was short."""
    if not options.settings:
        return options, ()
    pairs = [(pair, _full(pair, known)) for pair in options.settings]
    notes = (f"{short} is short for {full}" for (short, _), (full, _) in pairs if short != full)
    return replace(options, settings=tuple(full for _, full in pairs)), tuple(dict.fromkeys(notes))


def _full(pair: tuple[str, str], known: Known) -> tuple[str, str]:
    """Return one --set with its full name; of a vLLM that is not known, only a name that Slipway sets itself."""
    flag, value = pair
    arg = written_out(Arg(flag, (value,)), known.words)
    certain = known.exact or arg.key in OWN
    return (arg.key, arg.value) if certain and len(arg.values) == 1 else pair


def positive(pair: tuple[str, str]) -> tuple[str, str]:
    """Return one --set as the switch that it turns on or off: `--no-x=true` is `--x=false`."""
    flag, value = pair
    turned = {"true": "false", "false": "true"}.get(value.lower())
    return (f"--{flag[5:]}", turned) if flag.startswith("--no-") and turned else pair


def switches(settings: Pairs) -> Pairs:
    """Return the settings, each switch under the name that turns it on, to compare them."""
    return tuple(positive(pair) for pair in settings)
