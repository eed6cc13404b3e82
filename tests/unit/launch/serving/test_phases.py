"""Track the phases of a start from log lines."""

from __future__ import annotations

from launch.serving.phases import StartupProgress, load_phases
from tests.conftest import ROOT

# A shortened start as vLLM 0.32 logs it; the numbers are seconds.
START = [
    (0, "(APIServer pid=1) INFO [model.py:733] Resolved architecture: MiniMaxM2ForCausalLM"),
    (5, "(EngineCore pid=22) INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config"),
    (9, "(Worker pid=34) INFO [gpu_model_runner.py:68] Starting to load model /hub/models--x/snapshots/y..."),
    (10, "Loading safetensors checkpoint shards:  33% Completed | 1/3 [00:00<00:00,  2.1it/s]"),
    (12, "Loading safetensors checkpoint shards: 100% Completed | 3/3 [00:00<00:00,  2.1it/s]"),
    (13, "(EngineCore pid=22) INFO [kv_cache_utils.py:2327] GPU KV cache size: 524,288 tokens, Maximum"),
    (15, "INFO:     Started server process [1]"),
    (16, "INFO:     Application startup complete."),
]
SECONDS = {
    "import": 4,
    "configure": 5,
    "engine": 4,
    "load weights": 4,
    "kv cache": 2,
    "serve": 1,
    "first generation": 1,
}


def progress_after(seconds: float) -> StartupProgress:
    progress = StartupProgress(load_phases(), phase_start=-4)
    for time, line in START:
        if time <= seconds:
            progress.read(line, time)
    return progress


def test_progress_starts_with_the_import() -> None:
    assert StartupProgress(load_phases(), phase_start=0).phase.name == "import"


def test_read_recognizes_each_phase_by_its_line() -> None:
    names = [progress_after(seconds).phase.name for seconds, _ in START]
    assert names == ["configure", "engine", *["load weights"] * 3, "kv cache", "serve", "first generation"]


def test_read_takes_the_percentage_of_loading_only() -> None:
    assert (progress_after(10).percent, progress_after(10).note) == (33, "load weights 33%")
    assert (progress_after(13).percent, progress_after(13).note) == (None, "kv cache")


def test_seconds_leave_out_phases_that_did_not_occur() -> None:
    progress = progress_after(16)
    progress.finish_phase(17)
    assert progress.seconds == SECONDS


def test_read_takes_the_size_of_the_kv_cache() -> None:
    assert progress_after(13).kv_tokens == 524288


def test_read_does_not_return_to_an_earlier_phase() -> None:
    progress = progress_after(13)
    progress.read(START[2][1], 14)  # a second rank is slower
    assert progress.phase.name == "kv cache"


def test_read_recognizes_all_phases_in_a_recorded_log() -> None:
    progress = StartupProgress(load_phases(), phase_start=0)
    lines = (ROOT / "tests" / "data" / "logs" / "ready-tp2-ep.log").read_text().splitlines()
    for number, line in enumerate(lines):
        progress.read(line, number)
    assert progress.in_last_phase
    assert progress.kv_tokens
    assert {"configure", "engine", "load weights", "kv cache"} <= set(progress.seconds)
