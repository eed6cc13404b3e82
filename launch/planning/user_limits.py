"""Refuse options and variables of a user that vLLM's parser accepts, and that its server cannot start or run with."""

from __future__ import annotations

import json
import re

from errors import Refused
from launch.planning.json_limits import check_repeated
from launch.planning.option_values import BROKEN, plain_json, shown
from launch.spec.vllm_args import Draft

LONGEST_WORD = 128 * 1024  # bytes; the kernel refuses a longer word or variable (MAX_ARG_STRLEN)
# Options of vLLM that Slipway sets itself, and what sets them.
OWN = {
    "--model": "name the model as the argument: invoke plan org/name",
    "--port": "--port PORT",
    "--config": "write its options with --set --flag=value",
    "--api-key": "--listen ADDRESS, which makes an API key and keeps it out of the command line",
    "--hf-token": "invoke login",
    "--nnodes": "--nodes NUMBER",
    "--node-rank": "--nodes NUMBER",
    "--master-addr": "--nodes NUMBER, and HEAD_IP in the environment of the command that is shown",
}
OWN_VARIABLES = {
    **dict.fromkeys(
        ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
        "--gpus 0,2",
    ),
    "VLLM_API_KEY": OWN["--api-key"],
}
LAST_PORT = 65535
LAST_SEED = 2**32 - 1
DIGITS = re.compile(r"-?\d{1,20}", re.ASCII)  # longer numbers are refused by the check of all options


def check_setting(draft: Draft, flag: str, value: str) -> None:
    """Raise Refused for one --set. `flag` is the long form."""
    _check_length(f"--set {flag}", value)
    if flag in OWN:
        why = "it would not agree with the rest of the plan"
        raise Refused(f"--set {flag} cannot be used", why=why, fix=OWN[flag])
    if flag == "--api-server-count" and _is_integer(value) and int(value) < 1:
        why = "without an API server vLLM does not answer (vllm/entrypoints/cli/serve.py)"
        raise Refused(f"{flag} must be a positive integer (got '{value}')", why=why, fix=f"--set {flag}=1")
    if flag == "--seed" and _is_integer(value) and not 0 <= int(value) <= LAST_SEED:
        why = "vLLM passes it to NumPy, which refuses others (vllm/utils/torch_utils.py)"
        raise Refused(
            f"--seed must be from 0 to {LAST_SEED} (got '{shown(value)}')", why=why, fix="--set --seed=0"
        )
    check_repeated(flag, value)
    _check_mixed(draft, flag, value)


def _is_integer(value: str) -> bool:
    return bool(DIGITS.fullmatch(value))


def check_variable(name: str, value: str) -> None:
    """Raise Refused for one --env."""
    _check_length(f"--env {name}", value)
    if name in OWN_VARIABLES:
        why = "Slipway sets it, or what it does, for the container"
        raise Refused(f"--env {name} cannot be used", why=why, fix=OWN_VARIABLES[name])
    if name.upper().startswith("VLLM_") and name != name.upper():
        why = "names of variables are case-sensitive, and vLLM reads none that has lowercase letters"
        fix = f"--env {name.upper()}={shown(value)}"
        raise Refused(f"vLLM does not know {name}. Did you mean `{name.upper()}`?", why=why, fix=fix)
    if name.startswith("VLLM_") and name.endswith("_PORT") and not _may_be_port(value):
        raise Refused(f"{name} must be an integer from 0 to {LAST_PORT} (got '{shown(value)}')")


def _may_be_port(value: str) -> bool:
    """Return whether a value is a port. A text that is not an integer is refused by the check of all variables."""
    digits = value.lstrip("-")
    if not digits.isdecimal():
        return True
    return not value.startswith("-") and len(digits) <= len(str(LAST_PORT)) and int(digits) <= LAST_PORT


def check_batch(draft: Draft) -> None:
    """Raise Refused if a step cannot have one token of each sequence (vllm/config/scheduler.py)."""
    tokens, sequences = (draft.number(flag, 0) for flag in ("--max-num-batched-tokens", "--max-num-seqs"))
    if tokens and sequences and tokens < sequences:
        what = f"--max-num-batched-tokens {tokens} is less than --max-num-seqs {sequences}"
        why = "vLLM refuses it: each sequence has at least one token in a step"
        raise Refused(what, why=why, fix=f"--set --max-num-seqs={tokens}")


def _check_length(label: str, value: str) -> None:
    size = len(value.encode(errors="replace"))
    if size >= LONGEST_WORD:
        why = f"Linux starts no program with a word or variable of {LONGEST_WORD:,} bytes or more"
        raise Refused(f"the value of {label} is too long ({size:,} bytes)", why=why, fix="pass a file's path")


def _check_mixed(draft: Draft, flag: str, value: str) -> None:
    """Raise Refused for a JSON option and a dotted one of the same name.

    vLLM joins the dotted ones, and appends them as one JSON object after all words: the last object wins, so that the
    other one is lost without a word (vllm/utils/argparse_utils.py).
    """
    base, dot, key = flag.partition(".")
    for other in draft.args:
        name, other_dot, other_key = other.key.partition(".")
        if name != base or bool(dot) == bool(other_dot):
            continue
        whole, path, leaf = (other.value, key, value) if dot else (value, other_key, other.value)
        raise Refused(
            f"--set {flag}: the command has {other.key} too",
            why="vLLM would ignore the one with the JSON object",
            fix=f"--set {base}='{merged(whole, path, leaf)}'",
        )


def merged(whole: str, path: str, leaf: str) -> str:
    """Return a JSON object in which the key of a dotted option is set."""
    data, value = plain_json(whole), plain_json(leaf)
    place = data = data if isinstance(data, dict) else {}
    *steps, last = path.removesuffix("+").split(".")
    for step in steps:
        inner = place.get(step)
        place[step] = place = dict(inner) if isinstance(inner, dict) else {}
    place[last] = leaf.split(",") if path.endswith("+") else leaf if value is BROKEN else value
    return json.dumps(data)
