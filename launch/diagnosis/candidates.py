"""Match rules with the lines and exceptions of a log, and rank the matches by how specific they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from launch.diagnosis.analysis import MAX_SHOWN, exception_evidence, matched_line, with_process
from launch.diagnosis.complaints import Voice, is_typed, voice
from launch.diagnosis.innocent_lines import is_innocent
from launch.diagnosis.log_line import LogLine
from launch.diagnosis.phases import Phase, phase_of_stack
from launch.diagnosis.rule_values import captured_values, fill_cause, size_of
from launch.diagnosis.rules import Rule, Rules, compiled, exact, weight
from launch.diagnosis.types import RaisedException, Traceback

_MAX_TEXT = 20_000  # characters of a message in which patterns are searched
# Frames that pass calls on: they do not tell which part raised an exception.
_GLUE = re.compile(
    r"torch/(?!_inductor|_dynamo|_functorch|distributed)|vllm/tracing/|(?:contextlib|functools|importlib|asyncio|"
    r"concurrent|multiprocessing|threading|pydantic|json|pathlib|typing|inspect|runpy|subprocess|uvloop|os|"
    r"shutil|tempfile|<frozen)\b|.*\.pxi?\.|.*\.pyx\.|.*tvm_ffi"
)
_OUT_OF_MEMORY = re.compile(r"(?i)out of memory|OutOfMemory")
# What banners say about failures that have not happened.
_ADVICE = re.compile(r"(?i)^\W*(?:note|tip|hint)\b|\bif you (?:see|get|encounter|run into)\b")
_MARGIN = 512 * 2**20  # bytes; the allocator asks for more than it reports, and the driver keeps some memory
_TELLING = 17  # characters of a message: fewer occur in messages of several kinds
_TIE = 0.9  # two matches are equal if their weights differ less
# The kernel's messages and nvidia-smi's table may be appended to a log, whatever their time.
_KERNEL_LINE = re.compile(
    r"^\[ *\d+\.\d+\] |^\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\] |NVRM: Xid|\bamdgpu \d{4}:|\bERR!"
)


@dataclass(frozen=True)
class Candidate:
    """A rule that matches, where it matches, and the lines that show it.

    `conditions` counts the conditions that hold. `alternatives` are causes of other rules that match as well.
    `place` is the frame that raised the exception. `unread` is the root of the chain if no rule reads it.
    `by_line` tells that a line outside of the traceback names the cause, and not the exception itself.
    """

    rule: Rule
    match: re.Match[str] | None
    evidence: tuple[str, ...]
    conditions: int = 0
    alternatives: tuple[str, ...] = ()
    place: str = ""
    unread: str = ""
    by_line: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What is compared first: a rule of its own, then a family that reads the message, then the conditions."""
        return not self.rule.family, self._reads_message, self.conditions

    @property
    def _reads_message(self) -> bool:
        """Whether the rule reads the message; some families only know which part of vLLM raised it."""
        return not self.rule.family or (not self.rule.raised_in and self.literal >= _TELLING)

    @property
    def cause(self) -> str:
        """The cause in words, with the values that the rule read."""
        return fill_cause(self.rule.cause, captured_values(self.match))

    @property
    def literal(self) -> int:
        """How much text the matching pattern states: what is compared next."""
        return weight(self.match.re.pattern) if self.match else 0


@dataclass(frozen=True)
class Context:
    """What the conditions of a rule are compared with."""

    facts: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    frames: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The two innermost frames that are not glue: where the exception was raised."""
        return "\n".join(self._own_frames[:2])

    @property
    def place(self) -> str:
        """The innermost frame that is not glue."""
        return next(iter(self._own_frames), "")

    @property
    def _own_frames(self) -> list[str]:
        return [frame for frame in reversed(self.frames) if not _GLUE.match(frame)]


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the most specific candidate, and say which others are as specific; the first of equals wins."""
    ranked = sorted(candidates, key=lambda one: (*one.rank, one.literal), reverse=True)
    if not ranked:
        return None
    first = ranked[0]
    equal = [one for one in ranked[1:] if one.rank == first.rank and one.literal >= _TIE * first.literal]
    others = dict.fromkeys(one.cause for one in equal if one.rule.id != first.rule.id)
    return replace(first, alternatives=tuple(others))


def match_text(text: str, context: Context, rules: Rules) -> Iterator[tuple[Rule, re.Match[str]]]:
    """Yield the rules that match a text under the conditions of its context."""
    text = text[:_MAX_TEXT]
    for rule in rules.index.candidates(text):
        if _applies(rule, context) and (match := rule.match(text)) and _sizes_agree(rule, match):
            yield rule, match


def match_exception(
    exception: RaisedException, traceback: Traceback, facts: Mapping[str, str], rules: Rules
) -> list[Candidate]:
    """Match the message and the stack of an exception."""
    phase = phase_of_stack(exception.frames) or traceback.phase
    context = Context(facts, phase, tuple(exception.frames))
    return [
        Candidate(rule, match, exception_evidence(exception, match), rule.conditions, place=context.place)
        for rule, match in match_text(exception.text, context, rules)
    ]


def match_line(line: LogLine, facts: Mapping[str, str], phase: str, rules: Rules) -> Iterator[Candidate]:
    """Match a line outside of tracebacks with the rules that believe lines of its voice."""
    line_voice = voice(line)
    return (one for one in _match_any_voice(line, facts, phase, rules) if _believes(one.rule, line_voice))


def _match_any_voice(
    line: LogLine, facts: Mapping[str, str], phase: str, rules: Rules
) -> Iterator[Candidate]:
    found = () if is_typed(line) else match_text(line.text, Context(facts, phase), rules)
    for rule, match in found:
        evidence = with_process(line.process_name, matched_line(line.text, match))
        yield Candidate(rule, match, (evidence,), rule.conditions)


def match_explaining_lines(
    lines: Iterable[LogLine], traceback: Traceback, facts: Mapping[str, str], rules: Rules
) -> Iterator[Candidate]:
    """Match lines that explain an exception: those before it, for rules that say which exceptions they explain."""
    quoted = "\n".join(one.text for one in traceback.exceptions)
    root = traceback.root
    shown = with_process(root.process_name, root.summary[:MAX_SHOWN])
    for line in lines:
        if _ADVICE.search(line.text) or not (_precedes(line, traceback) or _KERNEL_LINE.search(line.text)):
            continue
        for candidate in _match_any_voice(line, facts, traceback.phase, rules):
            if _explains(candidate.rule, quoted) and not (candidate.rule.family and is_innocent(line.text)):
                evidence = (*candidate.evidence, shown)
                yield replace(candidate, evidence=evidence, conditions=candidate.conditions + 1, by_line=True)


def _explains(rule: Rule, message: str) -> bool:
    """Whether the row explains such an exception. Only a row about memory explains that memory ran out."""
    if not rule.explains or (_OUT_OF_MEMORY.search(message) and not _OUT_OF_MEMORY.search(rule.explains)):
        return False
    return exact(rule.explains).search(message) is not None


def _precedes(line: LogLine, traceback: Traceback) -> bool:
    """Whether the line can explain the exception: earlier, of the same container, and no error of vLLM itself."""
    own_error = line.from_vllm_logger and line.level == "ERROR"
    return line.number < traceback.root.number and line.source == traceback.source and not own_error


def _believes(rule: Rule, line_voice: Voice) -> bool:
    if rule.exceptions_only:
        return False
    return line_voice is Voice.ERROR or (
        rule.plain if line_voice is Voice.PLAIN else rule.warnings or rule.plain
    )


def _applies(rule: Rule, context: Context) -> bool:
    if rule.phases and Phase(context.phase or "start").value not in rule.phases:
        return False
    if rule.frames and not any(compiled(rule.frames).search(frame) for frame in context.frames):
        return False
    if rule.raised_in and not compiled(rule.raised_in).search(context.origin):
        return False
    if rule.vllm and not _in_versions(rule.vllm, context.facts.get("vllm", "")):
        return False
    facts = context.facts
    if any(name in facts and compiled(value).search(facts[name]) for name, value in rule.when_not.items()):
        return False
    return all(name in facts and compiled(value).search(facts[name]) for name, value in rule.when.items())


def _in_versions(wanted: str, version: str) -> bool:
    """Whether the log names a version of vLLM that is in the range."""
    try:
        return bool(version) and SpecifierSet(wanted, prereleases=True).contains(version)
    except InvalidVersion:
        return False


def _sizes_agree(rule: Rule, match: re.Match[str]) -> bool:
    """Whether each size that the row calls larger is clearly larger than the other in the match."""
    values = captured_values(match)
    for larger, smaller in rule.exceeds.items():
        sizes = size_of(values.get(larger, "")), size_of(values.get(smaller, ""))
        if sizes[0] is None or sizes[1] is None or sizes[0] < max(2 * sizes[1], sizes[1] + _MARGIN):
            return False
    return True
