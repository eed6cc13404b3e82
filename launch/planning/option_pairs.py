"""Refuse options of a user that vLLM's parser accepts one by one, and that its server refuses together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from errors import Refused
from launch.planning.json_limits import speculation_faults
from launch.planning.json_objects import object_of, options_of_user
from launch.planning.speculation import SHORT_OPTIONS, speculation_of
from launch.spec.vllm_args import Draft

EP, EPLB = "--enable-expert-parallel", "--enable-eplb"
TOKENS, CONTEXT = "--max-num-batched-tokens", "--max-model-len"


@dataclass(frozen=True)
class Needed:
    """An option that another one needs or excludes, what to write, and the file of vLLM that says so."""

    flag: str
    fix: str
    source: str


CLI, PARALLEL = "vllm/entrypoints/launchers/cli_args.py", "vllm/config/parallel.py"
NEEDS: Mapping[str, Needed] = {
    "--enable-auto-tool-choice": Needed("--tool-call-parser", "--set --tool-call-parser=NAME", CLI),
    "--enable-log-outputs": Needed("--enable-log-requests", "--set --enable-log-requests=true", CLI),
    EPLB: Needed(EP, f"--set {EP}=true", PARALLEL),
    "--numa-bind-nodes": Needed("--numa-bind", "--set --numa-bind=true", PARALLEL),
    "--numa-bind-cpus": Needed("--numa-bind", "--set --numa-bind=true", PARALLEL),
    "--collect-detailed-traces": Needed(
        "--otlp-traces-endpoint", "--set --otlp-traces-endpoint=URL", "vllm/config/observability.py"
    ),
    "--enable-elastic-ep": Needed(EPLB, f"--set {EPLB}=true", PARALLEL),
}
EXCLUDES: Mapping[str, Needed] = {
    "--enable-per-request-metrics": Needed("--disable-log-stats", "--set --disable-log-stats=false", CLI),
    "--mamba-block-size": Needed(
        "--no-enable-prefix-caching", "--set --enable-prefix-caching=true", "vllm/config/vllm.py"
    ),
}


def check_pairs(draft: Draft) -> None:
    """Raise Refused for the first option of the user that does not go with the others."""
    _check_batch(draft)
    if not (users := options_of_user(draft)):
        return
    for flag, needed in NEEDS.items():
        if (
            users.intersection(_spelled(flag, needed.flag))
            and _has(draft, flag)
            and not _has(draft, needed.flag)
        ):
            raise Refused(f"{flag} needs {needed.flag}", why=needed.source, fix=needed.fix)
    for flag, other in EXCLUDES.items():
        if users.intersection((flag, other.flag)) and _has(draft, flag) and _has(draft, other.flag):
            raise Refused(f"{flag} cannot be used with {other.flag}", why=other.source, fix=other.fix)
    if users.intersection(SHORT_OPTIONS) and (fault := next(speculation_faults(speculation_of(draft)), "")):
        raise Refused(
            f"{', '.join(sorted(users.intersection(SHORT_OPTIONS)))}: speculation {fault}",
            why="vllm/config/speculative.py",
            fix="--set --spec-method=NAME, --spec-model or --spec-tokens",
        )
    _check_whole_prompts(draft)
    if "--eplb-config" in users:
        _check_spare_experts(draft)


def _has(draft: Draft, flag: str) -> bool:
    return draft.get(flag) is not None


def _spelled(*flags: str) -> tuple[str, ...]:
    """Return the options, and those that switch them off."""
    return (*flags, *(f"--no-{flag[2:]}" for flag in flags))


def _check_batch(draft: Draft) -> None:
    """Raise Refused if a step cannot have one token of each sequence (vllm/config/scheduler.py)."""
    tokens, sequences = (draft.number(flag, 0) for flag in (TOKENS, "--max-num-seqs"))
    if tokens and sequences and tokens < sequences:
        what = f"{TOKENS} {tokens} is less than --max-num-seqs {sequences}"
        why = "vLLM refuses it: each sequence has at least one token in a step"
        raise Refused(what, why=why, fix=f"--set --max-num-seqs={tokens}")


def _check_whole_prompts(draft: Draft) -> None:
    """Raise Refused for a step that cannot hold a prompt, if prompts are not split (vllm/config/scheduler.py)."""
    tokens, context = draft.number(TOKENS, 0), draft.number(CONTEXT, 0)
    if _has(draft, "--no-enable-chunked-prefill") and tokens and context and tokens < context:
        what = f"{TOKENS} {tokens} is less than {CONTEXT} {context}"
        why = "vLLM refuses it without chunked prefill: a prompt is computed in one step"
        raise Refused(what, why=why, fix=f"--set {TOKENS}={context}")
    threshold = draft.number("--long-prefill-token-threshold", 0)
    if threshold and context and threshold > context:
        what = f"--long-prefill-token-threshold {threshold} is more than {CONTEXT} {context}"
        fix = "leave out --set --long-prefill-token-threshold"
        raise Refused(what, why="vLLM refuses it (vllm/config/scheduler.py)", fix=fix)


def _check_spare_experts(draft: Draft) -> None:
    """Raise Refused for spare experts without the balancing that uses them."""
    spare = (object_of(draft, "--eplb-config") or {}).get("num_redundant_experts")
    if spare and not _has(draft, EPLB):
        raise Refused(
            f"--eplb-config: 'num_redundant_experts' needs {EPLB}", why=PARALLEL, fix=f"--set {EPLB}=true"
        )
