"""Decide whether the figures of a run can be trusted: one function for each rule, over facts alone.

A rule returns its remarks. The outcome of a run is the worst of them: `void` if the figures do not mean what they seem
to, `remarks` if something may have changed them, else `good`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from launch.bench.record import Host, Load, Metrics, Outcome, Remark, Validity
from launch.bench.result import Request, Result

FRESH_TOLERANCE = 0.01  # share of prefix cache hits above the expected share
CAP_REACHED = 0.9  # mean requests in flight, as a share of the cap
LATE = 0.05  # time in the client's queue, as a share of the gap between two requests
BURST = 0.05  # a schedule shorter than this share of a latency sends all requests at once
COLD = 1.25  # time in the first half of the requests, as a multiple of that in the second
FEWEST_IN_HALF = 8  # requests; medians of fewer say nothing
CLIENT_GAP = 0.1  # between the client's and the server's own latencies
CLIENT_CPUS = 0.9  # vLLM's client is one thread
OTHERS = 0.1  # CPU time of other programs, and time that the hypervisor took, as a share of all
ROUNDS = 10  # requests for each request in flight
SECONDS_GPU, SECONDS_SMALL = 60, 20  # of a run; the second one on CPU or if the load is scaled
CLOCK_STEP = 5  # seconds by which the host's clock may differ from the time that passed


@dataclass(frozen=True)
class CanaryAnswer:
    """The answers to one greedy question before and after a run. A symptom is "" if the answer is fine."""

    question: str
    before: str = ""
    after: str = ""
    symptom_before: str = ""
    symptom_after: str = ""


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    load: Load
    result: Result
    metrics: Metrics = field(default_factory=Metrics)
    host: Host = field(default_factory=Host)
    fresh_tokens: int | None = None  # of a prompt, which no other request shares
    fixed_output: bool = False  # the end of sequence is ignored, so every answer has the length asked for
    canary: tuple[CanaryAnswer, ...] = ()
    on_gpu: bool = False
    scaled: bool = False
    gone: str = ""  # what happened to the server's container; "" if it ran all the time
    clock_step: float = 0.0  # seconds; negative: the clock was set back


Rule = Callable[[Facts], Iterator[Remark]]


def judge(facts: Facts) -> Validity:
    """Return the outcome of all rules."""
    remarks = tuple(remark for rule in RULES for remark in rule(facts))
    outcomes: set[Outcome] = {remark.outcome for remark in remarks}
    outcome: Outcome = "void" if "void" in outcomes else "remarks" if outcomes else "good"
    return Validity(outcome=outcome, remarks=remarks)


def void(rule: str, sentence: str) -> Validity:
    """Return the validity of a run that has no figures to judge."""
    return Validity(outcome="void", remarks=(_void(rule, sentence),))


def _void(rule: str, sentence: str) -> Remark:
    return Remark(rule=rule, outcome="void", sentence=sentence)


def _remark(rule: str, sentence: str) -> Remark:
    return Remark(rule=rule, outcome="remarks", sentence=sentence)


def all_answered(facts: Facts) -> Iterator[Remark]:
    """Every request was answered, with the length asked for."""
    rule, result = "all answered", facts.result
    if result.failed or result.completed != result.asked:
        errors = list(dict.fromkeys(request.error for request in result.requests if request.error))[:3]
        first = f": {'; '.join(errors)}" if errors else ""
        yield _void(rule, f"{result.completed} of {result.asked} requests were answered{first}")
    if result.completed and not result.output_tokens:
        yield _void(rule, "the answers have no tokens")
    elif result.completed and not result.input_tokens:
        yield _void(rule, "the prompts have no tokens")
    if not result.requests and result.completed:
        yield _remark(rule, "vLLM saved no details of the requests, so their lengths are not known")
    wanted = facts.load.output_len
    if facts.fixed_output and wanted:
        short = [request.output_len for request in result.answered if request.output_len != wanted]
        if short:
            why = f"the first of them has {short[0]}: its stream was cut or the model ended it"
            yield _void(rule, f"{len(short)} answers do not have the {wanted} tokens asked for; {why}")


def fresh_prompts(facts: Facts) -> Iterator[Remark]:
    """The server computed the prompts and did not read them from its prefix cache."""
    rule, metrics = "fresh prompts", facts.metrics
    if metrics.prefix_queries is None or metrics.prefix_hits is None:
        yield _remark(
            rule, "the server reports no prefix cache hits, so repeated prompts would not be noticed"
        )
    elif metrics.prefix_queries > 0 and facts.fresh_tokens is not None:
        share = metrics.prefix_hits / metrics.prefix_queries
        expected = _shared(facts, facts.fresh_tokens)
        if share > expected + FRESH_TOLERANCE:
            yield _void(
                rule,
                f"{share:.1%} of the prompt tokens were read from the prefix cache, at most {expected:.1%} "
                "are expected with this load",
            )


def _shared(facts: Facts, fresh: int) -> float:
    """Return the share of a prompt that is not fresh: a prefix on purpose, a chat template, definitions of tools."""
    result = facts.result
    prompt = result.input_tokens / result.completed if result.completed else 0
    return max(0.0, 1 - fresh / prompt) if prompt else 0.0


def alone(facts: Facts) -> Iterator[Remark]:
    """No other client used the server."""
    rule, metrics = "alone", facts.metrics
    running, waiting = metrics.running_before, metrics.waiting_before
    if running or waiting:
        yield _void(rule, f"the server had {running or 0} running and {waiting or 0} waiting requests before")
    generated, asked = metrics.generation_tokens, facts.result.output_tokens
    if generated is None:
        yield _remark(rule, "the server reports no generated tokens, so other clients would not be noticed")
    elif generated != asked:
        why = "another client used the server, or the server was restarted" if generated > asked else ""
        tail = f": {why}" if why else ""
        yield _void(rule, f"the server generated {generated} tokens and this client received {asked}{tail}")


def model_answers(facts: Facts) -> Iterator[Remark]:
    """The model answers as a model does, before and after the run."""
    for answer in facts.canary:
        for when, symptom in (("before", answer.symptom_before), ("after", answer.symptom_after)):
            if symptom:
                yield _void("it is the model", f"{when} the run, '{answer.question}': {symptom}")


def warm(facts: Facts) -> Iterator[Remark]:
    """The first requests were not slower than the last ones."""
    ordered = sorted(facts.result.answered, key=lambda request: request.start)
    half = len(ordered) // 2
    if half < FEWEST_IN_HALF:
        return
    first, second = ordered[:half], ordered[half:]
    for name, value in (("TTFT", _ttft), ("ITL", _mean_itl)):
        early, late = _median(first, value), _median(second, value)
        if late > 0 and early > COLD * late:
            yield _remark(
                "warm",
                f"{name} of the first half of the requests is {early / late:.2f} times that of the second half",
            )


def _ttft(request: Request) -> float:
    return request.ttft


def _mean_itl(request: Request) -> float:
    return fmean(request.itl) if request.itl else 0.0


def _median(requests: Sequence[Request], value: Callable[[Request], float]) -> float:
    return median(value(request) for request in requests)


def load_reached(facts: Facts) -> Iterator[Remark]:
    """The client kept as many requests in flight, or sent as many a second, as asked."""
    answered, load = facts.result.answered, facts.load
    if not answered:
        return
    if load.request_rate is not None and not _is_burst(facts):
        yield from _rate_reached(answered, load.request_rate)
    elif load.concurrency:
        cap = min(load.concurrency, len(answered))
        mean = sum(request.latency for request in answered) / facts.result.duration
        if mean < CAP_REACHED * cap:
            yield _remark(
                "load reached", f"{mean:.1f} requests were in flight on average, {cap} were asked for"
            )


def _is_burst(facts: Facts) -> bool:
    """Whether the schedule is so short that all requests are sent at once."""
    rate, answered = facts.load.request_rate, facts.result.answered
    latency = fmean(request.latency for request in answered)
    return rate is not None and len(answered) / rate < BURST * latency


def _rate_reached(answered: Sequence[Request], rate: float) -> Iterator[Remark]:
    queue = fmean(request.queue for request in answered)
    if queue * rate > LATE:
        yield _remark(
            "load reached",
            f"requests waited {queue * 1000:.1f} ms in the client, {queue * rate:.0%} of the gap between two; "
            "the latency from the schedule includes it",
        )


def client_keeps_up(facts: Facts) -> Iterator[Remark]:
    """The client measured what the server did, and not its own speed."""
    rule, answered = "client keeps up", facts.result.answered
    if facts.host.client_cpus is not None and facts.host.client_cpus > CLIENT_CPUS:
        yield _remark(rule, f"the client used {facts.host.client_cpus:.2f} CPUs; it is a single thread")
    if not answered:
        return
    pairs = (
        ("TTFT", facts.metrics.ttft_mean_s, fmean(request.ttft for request in answered)),
        ("latency", facts.metrics.e2e_mean_s, fmean(request.latency for request in answered)),
    )
    for name, server, client in pairs:
        if server and client > server * (1 + CLIENT_GAP):
            yield _remark(
                rule,
                f"the mean {name} is {client * 1000:.1f} ms at the client and {server * 1000:.1f} ms at the server",
            )


def host_as_usual(facts: Facts) -> Iterator[Remark]:
    """The host ran this server only, at its usual speed, without a restart."""
    rule, host = "host", facts.host
    if not host.observed:
        yield _remark(
            rule, "the node of the pod was not observed, so other programs on it would not be noticed"
        )
    if facts.gone:
        yield _void(rule, f"{facts.gone} during the run")
    if facts.metrics.preemptions:
        yield _remark(rule, f"{facts.metrics.preemptions} requests were preempted: the KV cache was full")
    if abs(facts.clock_step) > CLOCK_STEP:
        way = "back" if facts.clock_step < 0 else "forward"
        yield _remark(rule, f"the host's clock was set {way} by {abs(facts.clock_step):.0f} s during the run")
    if host.others_cpus is not None and host.others_cpus > OTHERS * (host.cpu_threads or 1):
        yield _remark(rule, f"other programs used {host.others_cpus:.1f} of {host.cpu_threads} CPUs")
    if host.steal is not None and host.steal > OTHERS:
        yield _remark(rule, f"the hypervisor gave {host.steal:.0%} of the CPU time to other guests")
    yield from _gpus_as_usual(host)


def _gpus_as_usual(host: Host) -> Iterator[Remark]:
    reasons = sorted({reason for reading in host.during.gpus for reason in reading.throttle})
    if reasons:
        yield _remark("host", f"GPUs were throttled: {', '.join(reasons)}")
    for before, after in zip(host.before.gpus, host.after.gpus, strict=False):
        if before.power_limit_w != after.power_limit_w:
            limits = f"{before.power_limit_w} W to {after.power_limit_w} W"
            yield _remark("host", f"the power limit of {before.name} changed from {limits}")


def no_neighbour(facts: Facts) -> Iterator[Remark]:
    """No other benchmark ran on this host."""
    if facts.host.neighbours:
        names = ", ".join(facts.host.neighbours)
        yield _remark("neighbour", f"another benchmark ran on this host at the same time: {names}")


def long_enough(facts: Facts) -> Iterator[Remark]:
    """The run had many requests for each one in flight, and took a while."""
    result, slots = facts.result, facts.load.concurrency
    if slots and result.asked < ROUNDS * slots:
        yield _remark(
            "long enough", f"{result.asked} requests; {ROUNDS * slots} are needed for {slots} at once"
        )
    seconds = SECONDS_GPU if facts.on_gpu and not facts.scaled else SECONDS_SMALL
    if result.duration < seconds:
        yield _remark("long enough", f"the run took {result.duration:.1f} s; {seconds} s are needed")


RULES: tuple[Rule, ...] = (
    *(all_answered, fresh_prompts, alone, model_answers, host_as_usual),
    *(warm, load_reached, client_keeps_up, no_neighbour, long_enough),
)
