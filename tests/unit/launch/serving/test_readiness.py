"""Phases are read from the log alone, so a written log is all these tests need."""

from launch.serving.readiness import Progress, load_phases

# A start as vLLM 0.32 tells it, shortened; the numbers are seconds.
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


def after(seconds):
    progress = Progress(load_phases(), began=-4)
    for when, line in START:
        if when <= seconds:
            progress.read(line, when)
    return progress


def test_it_begins_with_the_import():
    assert Progress(load_phases(), began=0).phase.phase == "import"


def test_each_phase_is_known_by_its_line():
    seen = [after(seconds).phase.phase for seconds, _ in START]
    assert seen == ["configure", "engine", "load weights", "load weights", "load weights", "kv cache", "serve",
                    "first generation"]  # fmt: skip


def test_loading_has_a_percentage_and_other_phases_have_none():
    assert after(10).percent == 33
    assert after(13).percent is None


def test_seconds_per_phase_leave_out_what_did_not_happen():
    progress = after(16)
    progress.finish(17)
    assert progress.seconds == {"import": 4, "configure": 5, "engine": 4, "load weights": 4, "kv cache": 2,
                                "serve": 1, "first generation": 1}  # fmt: skip


def test_the_kv_cache_size_is_remembered():
    assert after(13).kv_tokens == 524288


def test_a_second_rank_that_is_behind_does_not_turn_the_clock_back():
    progress = after(13)
    progress.read(START[2][1], 14)
    assert progress.phase.phase == "kv cache"


def test_the_real_log_of_a_start_passes_through_all_its_phases(shared):
    progress = Progress(load_phases(), began=0)
    for when, line in enumerate((shared / "logs" / "ready-tp2-ep.log").read_text().splitlines()):
        progress.read(line, when)
    assert progress.last
    assert progress.kv_tokens
    assert {"configure", "engine", "load weights", "kv cache"} <= set(progress.seconds)
