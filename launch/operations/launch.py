"""Launch a server: plan, image and weights, container, wait until it generates; diagnose and fix a failed start.

Nothing is printed or asked here: the caller passes `Events`. See examples/launch_server.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.allocation.reservation import GpusTaken, reserved
from launch.diagnosis.apply_fix import apply_fix
from launch.engine import client as engine_client
from launch.engine import containers
from launch.operations import host_facts, saved_fixes
from launch.operations.events import Events
from launch.operations.launch_options import Fixes, LaunchOptions
from launch.operations.plan_inputs import plan_of
from launch.operations.prepare import check_gpus, prepare
from launch.operations.provide_image import image_of
from launch.operations.read_ahead import reading_ahead
from launch.recipes.from_config import NO_RECIPE
from launch.serving import api_key, openai_client
from launch.serving.phases import StartupProgress
from launch.serving.readiness import Ready, wait_for_server
from launch.serving.server_exit import ServerExited
from launch.spec.server_name import name_of

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.engine.limits import Limits
    from launch.spec.inputs import Image
    from launch.spec.plan import Plan
    from launch.spec.plan_options import PlanOptions

# An attempt that loses its GPUs loses them to another launch, and few hosts have more GPUs than this.
_LAUNCHES_AT_ONCE = 16


class SeveralNodes(Refused):
    """A plan of several hosts, which a launch on this host cannot start."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            f"the plan needs {len(plan.processes)} nodes",
            why="`invoke run` starts containers on this host only",
            fix="run the command of each node on its host; or invoke deploy, for a Kubernetes cluster",
        )
        self.plan = plan


@dataclass(frozen=True)
class Launched:
    """A server that was started, or that ran already. `ready` is None if the launch did not wait for it."""

    container: Container
    plan: Plan
    started: bool
    ready: Ready | None

    @property
    def name(self) -> str:
        """The name of the container."""
        return str(self.container.name)

    @property
    def url(self) -> str:
        """The base address for OpenAI clients."""
        return f"{self.container.labels['slipway.url']}/v1"

    @property
    def api_key(self) -> str:
        """The key that the server requires; empty if it requires none."""
        return api_key.key_of_container(self.container)

    def ask(self, question: str, max_tokens: int = 256) -> Iterator[openai_client.Delta]:
        """Yield the answer to a question piece by piece."""
        url = self.container.labels["slipway.url"]
        return openai_client.ask(url, self.plan.model, question, max_tokens=max_tokens, api_key=self.api_key)

    def tool_call(self) -> str:
        """Return whether the recipe's parser recognizes a tool call; a model may also answer in words."""
        if "--tool-call-parser" not in self.plan.processes[0].argv:
            return "the recipe has no parser"
        url = self.container.labels["slipway.url"]
        try:
            called = openai_client.calls_tool(url, self.plan.model, api_key=self.api_key)
        except Failed as error:
            return f"not accepted: {error.why or error.what}"
        return "parsed" if called else "the model answered in words"

    def stop(self, timeout: int = 30) -> None:
        """Stop the server, save its log and remove its container; kill it after `timeout` seconds."""
        self.container.reload()
        containers.stop(self.container, timeout)


def launch(options: PlanOptions, how: LaunchOptions | None = None, events: Events | None = None) -> Launched:
    """Start the server that the options describe. If it fails and a safe fix is known, try once more with it.

    Raises Refused for a request that cannot work, ServerExited with a diagnosis if the server exits, Failed otherwise.
    """
    how, events = how or LaunchOptions(), events or Events()
    options = replace(options, memory_limit=how.limits.memory)
    plan = planned(options, how.fixes, events)
    client = engine_client.connect()
    _show_assumptions(plan, events)
    if options.hardware:
        check_gpus(plan.hardware, plan.platform)
    image = None
    if containers.must_start(client, plan, how.replace):
        prepare(client, plan, options, how, events)
        image = image_of(client, plan, options)
        # Its notes were shown before. What was fetched is here now, so the commit of the weights is known.
        plan = planned(options, how.fixes, None, image)
    for _ in range(_LAUNCHES_AT_ONCE):
        try:
            return _start_or_fix(client, plan, how, events)
        except GpusTaken as taken:  # another launch took them while this one prepared: plan again, on others
            events.note(str(taken))
            plan = planned(options, how.fixes, events, image)
    return _start_or_fix(client, plan, how, events)


def _show_assumptions(plan: Plan, events: Events) -> None:
    """Show the notes of a plan without a recipe, because what it assumes was not checked, and those on the limit."""
    no_recipe = any(note.startswith(NO_RECIPE) for note in plan.notes)
    for note in plan.notes:
        if no_recipe or note.startswith("--memory"):
            events.note(f"note: {note}")


def _start_or_fix(client: DockerClient, plan: Plan, how: LaunchOptions, events: Events) -> Launched:
    """Start the plan. If it fails and a safe fix is known, try once more with it."""
    try:
        return _start(client, plan, how, events)
    except ServerExited as failure:
        better = _with_fix(plan, failure, how.fixes, events)
        if better is None:
            raise
        launched = _start(client, better, replace(how, replace=True), events)
        saved_fixes.save(plan, failure.diagnosis)
        return launched


def planned(
    options: PlanOptions, fixes: Fixes = "report", events: Events | None = None, image: Image | None = None
) -> Plan:
    """Make the plan of these options for this host, with the fixes that earlier starts saved.

    `image` is one that was chosen and provided already.
    """
    own = plan_of(options, image)
    plan = own if fixes == "no" else saved_fixes.apply_saved(own)
    for note in plan.notes[len(own.notes) :]:
        (events or Events()).note(f"{note}  (--workaround no leaves it out)")
    if len(plan.processes) > 1:
        raise SeveralNodes(plan)
    return plan


def _with_fix(plan: Plan, failure: ServerExited, fixes: Fixes, events: Events) -> Plan | None:
    """Return the plan with the fix of a failure; None if there is none, it is not safe, or it is not wanted."""
    diagnosis = failure.diagnosis
    if not (diagnosis.change and diagnosis.safe) or fixes not in ("ask", "auto"):
        return None
    try:
        better = apply_fix(plan, diagnosis)
    except Refused:
        return None
    if better == plan:
        return None
    events.note(f"{failure}\nfix: {better.notes[-1]}")
    return better if fixes == "auto" or events.confirm("start again with this fix?") else None


def _start(client: DockerClient, plan: Plan, how: LaunchOptions, events: Events) -> Launched:
    """Start the container under the host's lock, so that two launches share neither a name nor a GPU; wait."""
    with reserved(client, plan.container, name_of(plan)):
        _ensure_api_key(plan, events)
        container, started = containers.start(client, plan, how.limits, replace=how.replace)
    state = "started" if started else "already running"
    image = ", ".join(dict.fromkeys(name for name in (plan.image_source.name, plan.image) if name))
    events.note(f"{container.name}: {state} (plan {plan.digest}, image {image})")
    if not started:
        _note_ignored_limits(container, how.limits, events)
    ready = None
    if how.wait:
        with reading_ahead(plan, how.limits.memory, events) if started else nullcontext():
            ready = _wait(container, plan, how, started, events)
    if ready and ready.kv_tokens and started and not plan.local_folder:
        host_facts.save_kv_tokens(plan, ready.kv_tokens)
    return Launched(container, plan, started, ready)


def _note_ignored_limits(container: Container, limits: Limits, events: Events) -> None:
    """Say which limits a server that runs already does not have."""
    if missing := limits.not_in(container.attrs.get("HostConfig") or {}):
        events.note(
            f"{container.name}: not applied: {' '.join(missing)}; --replace restarts the server with them"
        )


def _ensure_api_key(plan: Plan, events: Events) -> None:
    """Create the API key of this user if the plan needs one, and show it this once."""
    for path in map(Path, plan.container.env_files):
        if api_key.ensure_key(path):
            events.note(f"API key (shown only now, saved in {path}): {api_key.read_key(path)}")


def _wait(container: Container, plan: Plan, how: LaunchOptions, started: bool, events: Events) -> Ready:
    name = container.name
    with events.step(f"start {name}") as show, _left_running(str(name), events):

        def on_progress(progress: StartupProgress) -> None:
            show(progress.index, len(progress.phases), progress.note)
            events.phase(progress)

        return wait_for_server(container, on_progress, how.phase_timeout, started, plan.budgets)


@contextmanager
def _left_running(name: str, events: Events) -> Iterator[None]:
    """Say after Ctrl-C that the server continues to start."""
    try:
        yield
    except KeyboardInterrupt:
        events.note(
            f"\n{name} continues to start: `invoke logs {name} --follow` shows its log, `invoke stop {name}` stops it"
        )
        raise
