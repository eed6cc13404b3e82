"""Make Git repositories of recipes with the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

RECIPE = """\
model:
  model_id: {model}
  base_args: {args}
compatible_strategies: [single_node_tp]
variants: {{default: {{}}}}
"""
STRATEGY = "name: single_node_tp\nparallelism: tp\nparallel_flag: --tensor-parallel-size\n"
TAXONOMY = "hardware_profiles: {h200: {brand: NVIDIA, generation: hopper, vram_gb: 141, gpu_count: 8}}\n"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *words: str, data: str = "") -> str:
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *words],
        cwd=folder,
        env=ENVIRONMENT,
        input=data,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write_recipe(folder: Path, model: str = "org/name", args: str = "[]") -> None:
    path = folder / "models" / f"{model}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RECIPE.format(model=model, args=args))


def write_folder(folder: Path, args: str = "[]") -> Path:
    write_recipe(folder, args=args)
    (folder / "strategies").mkdir()
    (folder / "strategies" / "single_node_tp.yaml").write_text(STRATEGY)
    (folder / "taxonomy.yaml").write_text(TAXONOMY)
    (folder / "README.md").write_text("not a recipe\n")
    return folder


def commit(folder: Path, *words: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a change", *words)
    return git(folder, "rev-parse", "HEAD")


def write_repository(folder: Path, args: str = "[]") -> Path:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write_folder(folder, args)
    commit(folder)
    return folder
