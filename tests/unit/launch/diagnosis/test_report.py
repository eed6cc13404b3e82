"""The report contains the diagnosis and both ends of the log, without private text."""

from __future__ import annotations

from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from launch.diagnosis.report import HEAD, TAIL, Excerpt, render_report

FAILURE = (
    "OSError: [Errno 98] error while attempting to bind on address ('10.9.8.7', 8000): address already in use"
)


def test_report_has_the_diagnosis_and_the_log_without_addresses() -> None:
    excerpt = Excerpt()
    report = render_report(diagnose(DiagnosisInput(excerpt.read([FAILURE]), 1)), excerpt.lines)
    assert '"cause_id": "port-taken-at-bind"' in report
    assert "address already in use" in report.rpartition("## Log")[2]
    assert "10.9.8.7" not in report


def test_excerpt_keeps_both_ends_of_a_long_log() -> None:
    excerpt = Excerpt()
    count = HEAD + TAIL + 7
    assert sum(1 for _ in excerpt.read(f"line {number}\n" for number in range(count))) == count
    assert (excerpt.lines[0], excerpt.lines[-1]) == ("line 0", f"line {count - 1}")
    assert "... 7 lines left out ..." in excerpt.lines
    assert len(excerpt.lines) == HEAD + TAIL + 1
