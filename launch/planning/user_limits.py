"""Refuse options and variables of a user that vLLM's parser accepts, and that its server cannot start or run with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from errors import Refused, choice
from launch.planning.json_limits import check_repeated
from launch.planning.option_values import BROKEN, SIGNS, plain_json, shown
from launch.planning.vllm_versions import USER
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
    **dict.fromkeys(
        (
            "--headless",
            "--data-parallel-address",
            "--data-parallel-external-lb",
            "--data-parallel-rank",
            "--data-parallel-size-local",
            "--data-parallel-start-rank",
        ),
        "--nodes NUMBER, with --set --data-parallel-size=NUMBER for all nodes",
    ),
    "--device-ids": "--gpus 0,2",
    "--download-dir": "HF_HUB_CACHE=FOLDER in the environment of this command: the weights are mounted from there",
    "--uds": "--port PORT and --listen ADDRESS",
}
OWN_VARIABLES = {
    **dict.fromkeys(
        ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
        "--gpus 0,2",
    ),
    "VLLM_API_KEY": OWN["--api-key"],
    **dict.fromkeys(
        ("VLLM_DP_RANK", "VLLM_DP_RANK_LOCAL", "VLLM_DP_SIZE"), "--set --data-parallel-size=NUMBER"
    ),
}
LAST_PORT = 65535
DIGITS = re.compile(r"-?\d{1,20}", re.ASCII)  # longer numbers are refused by the check of all options


@dataclass(frozen=True)
class Range:
    """The numbers with which a server runs, why, and one of them."""

    least: int
    most: int | None
    usual: int
    why: str


RANGES: Mapping[str, Range] = {
    "--api-server-count": Range(
        1, None, 1, "without an API server vLLM does not answer (vllm/entrypoints/cli/serve.py)"
    ),
    "--cudagraph-capture-sizes": Range(1, None, 1, "a CUDA graph is of a number of tokens"),
    "--master-port": Range(1, LAST_PORT, 29501, "it is a port"),
    "--max-cudagraph-capture-size": Range(0, None, 512, "a CUDA graph is of a number of tokens"),
    "--num-gpu-blocks-override": Range(1, None, 1000, "without blocks the KV cache holds no token"),
    "--spec-tokens": Range(1, None, 3, "a step proposes at least one token"),
    "--seed": Range(
        0, 2**32 - 1, 0, "vLLM passes it to NumPy, which refuses others (vllm/utils/torch_utils.py)"
    ),
    "--sse-keep-alive-interval": Range(0, None, 0, "it is a time (vllm/entrypoints/launchers/cli_args.py)"),
}
# Words that vLLM takes as any text and checks when it starts.
WORDS: Mapping[str, tuple[str, ...]] = {
    "--data-parallel-backend": ("mp", "ray"),
    "--optimization-level": ("0", "1", "2", "3"),
}
LEVELS = ("CRITICAL", "DEBUG", "ERROR", "FATAL", "INFO", "NOTSET", "WARN", "WARNING")


def check_setting(draft: Draft, flag: str, value: str) -> None:
    """Raise Refused for one --set. `flag` is the long form."""
    _check_length(f"--set {flag}", value)
    if flag in OWN:
        why = "it would not agree with the rest of the plan"
        raise Refused(f"--set {flag} cannot be used", why=why, fix=OWN[flag])
    if flag in RANGES and DIGITS.fullmatch(value):
        _check_range(flag, int(value), RANGES[flag])
    if flag in WORDS and value not in WORDS[flag]:
        raise choice(f"{flag} value", shown(value), WORDS[flag])
    if flag == "--prefill-context-parallel-size" and DIGITS.fullmatch(value) and int(value) != 1:
        why = "it multiplies the GPUs of a replica, and vLLM 0.32 has it for a few models only"
        raise Refused(
            f"Slipway does not plan {flag} {value}", why=why, fix="--set --tensor-parallel-size=NUMBER"
        )
    check_repeated(flag, value)
    _check_mixed(draft, flag, value)


def _check_range(flag: str, number: int, limits: Range) -> None:
    """Raise Refused for a number that vLLM's parser accepts, and its server does not."""
    if number >= limits.least and (limits.most is None or number <= limits.most):
        return
    noun = SIGNS[limits.least] if limits.most is None else f"from {limits.least} to {limits.most}"
    fix = f"--set {flag}={limits.usual}"
    raise Refused(f"{flag} must be {noun} (got '{number}')", why=limits.why, fix=fix)


def check_address(draft: Draft) -> None:
    """Raise Refused for a loopback address of the server, which a published port cannot reach."""
    arg = draft.get("--host")
    if arg and arg.source == USER and (arg.value == "localhost" or arg.value.startswith(("127.", "::1"))):
        why = "it is an address inside the container, where the published port does not arrive"
        raise Refused(f"--host {shown(arg.value)} cannot be used", why=why, fix="--listen 127.0.0.1")


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
    if name == "VLLM_LOGGING_LEVEL" and value.upper() not in LEVELS:
        raise choice(f"{name} value", shown(value), LEVELS)
    if name.startswith("VLLM_") and name.endswith("_PORT") and not _may_be_port(value):
        raise Refused(f"{name} must be an integer from 0 to {LAST_PORT} (got '{shown(value)}')")


def _may_be_port(value: str) -> bool:
    """Return whether a value is a port. A text that is not an integer is refused by the check of all variables."""
    digits = value.lstrip("-")
    if not digits.isdecimal():
        return True
    return not value.startswith("-") and len(digits) <= len(str(LAST_PORT)) and int(digits) <= LAST_PORT


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
