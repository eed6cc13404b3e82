from dataclasses import replace

from launch.diagnosis.types import Diagnosis
from launch.operations import saved_fixes
from launch.spec.plan import Container, Layout, Plan, Process

PLAN = Plan(
    model="m/x", platform="cuda", image="i:1", vllm_version="0.32.0", strategy="single_node_tp",
    hardware="h200",
    layout=Layout(tp=4), processes=(Process("server", 0, ("vllm", "serve", "m/x")),), container=Container(),
)  # fmt: skip
SHORTER = Diagnosis("kv-cache-too-small", "too long", change={"set": {"--max-model-len": "1024"}}, known=True)


def test_a_cure_that_was_kept_is_in_the_next_plan(tmp_path):
    saved_fixes.keep(PLAN, SHORTER, tmp_path / "cures.jsonl")
    again = saved_fixes.with_kept(PLAN, tmp_path / "cures.jsonl")
    assert again.processes[0].argv == ("vllm", "serve", "m/x", "--max-model-len", "1024")
    assert "too long" in again.notes[-1]


def test_another_model_image_or_hardware_does_not_have_it(tmp_path):
    saved_fixes.keep(PLAN, SHORTER, tmp_path / "cures.jsonl")
    for other in (replace(PLAN, model="m/y"), replace(PLAN, image="i:2"), replace(PLAN, hardware="h100")):
        assert saved_fixes.with_kept(other, tmp_path / "cures.jsonl") == other


def test_a_taken_port_is_not_kept(tmp_path):
    saved_fixes.keep(PLAN, Diagnosis("port-taken", "taken", change={"port": True}), tmp_path / "cures.jsonl")
    assert not (tmp_path / "cures.jsonl").exists()


def test_lines_that_are_not_ours_are_passed_over(tmp_path):
    path = tmp_path / "cures.jsonl"
    path.write_text("not json\n[]\n{}\n")
    assert saved_fixes.with_kept(PLAN, path) == PLAN


def test_a_folder_that_takes_no_note_is_a_warning_and_no_failure(tmp_path, capsys):
    (tmp_path / "results").write_text("a file, no folder")
    saved_fixes.keep(PLAN, SHORTER, tmp_path / "results" / "cures.jsonl")
    assert "warning: the cure is not kept" in capsys.readouterr().err
