"""Let the server load exactly one commit of the weights: `vllm serve MODEL --revision COMMIT`.

Offline, vLLM replaces the model by the snapshot folder of the revision, and the tokenizer follows it. Without a
revision it takes what `refs/main` in the cache points to at each start.
"""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning.vllm_versions import USER
from launch.spec.inputs import Host, ModelCommit
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import Arg, Draft

FLAG = "--revision"


def commit_of(options: PlanOptions, host: Host, model: str) -> ModelCommit | None:
    """Return the commit that the server loads; None if it is not known, or if the guide's command is used."""
    if options.access != "guide":
        return host.commits.get(model)
    if options.revision:
        raise Refused(
            "--revision and --access guide cannot be used together",
            why="the command of the guide names no revision",
            fix="--access least",
        )
    return None


def at_commit(draft: Draft, commit: ModelCommit | None) -> Draft:
    """Return the command with the commit as its first option. Raises Refused if the user sets the flag itself."""
    own = draft.get(FLAG)
    if own and own.source == USER:
        raise Refused(
            f"--set {FLAG}={own.value} cannot be used",
            why="the plan and the labels of the server would not name this revision",
            fix=f"--revision {own.value}",
        )
    if commit is None:
        return draft
    first = Arg(FLAG, (commit.commit,), commit.source, commit.why)
    return replace(draft, args=(first, *draft.without(FLAG).args))


def note(options: PlanOptions, commit: ModelCommit | None, host: Host, model: str) -> tuple[str, ...]:
    """Return a note if the server may load other files after the next fetch."""
    if commit:
        return ()
    if known := host.commits.get(model):
        return (f"the command of the guide does not name the commit {known.commit[:12]} ({known.source})",)
    if options.revision:
        return (f"the commit of revision '{options.revision}' is not known here: invoke fetch finds it",)
    return ()
