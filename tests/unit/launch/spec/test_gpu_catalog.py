"""The GPU catalog, profiles of a taxonomy, and the rule for which compiled code a GPU runs."""

from __future__ import annotations

import pytest

from launch.spec.gpu_catalog import catalog, from_taxonomy, runs_code

RUNS = [
    # CUDA binaries run on the same and on later minor revisions of their major.
    ("sm_90", "sm_90", True),
    ("sm_86", "sm_80", True),
    ("sm_80", "sm_86", False),
    ("sm_90", "sm_80", False),
    ("sm_103", "sm_100", True),
    ("sm_120", "sm_100", False),
    # A suffix: `a` for that architecture alone, `f` for its family.
    ("sm_90", "sm_90a", True),
    ("sm_103", "sm_100a", False),
    ("sm_103", "sm_100f", True),
    ("sm_120", "sm_100f", False),
    # PTX is compiled by the driver for any later architecture.
    ("sm_120", "compute_90", True),
    ("sm_80", "compute_90", False),
    ("sm_120", "compute_90a", False),
    # AMD: the processor must be the same. Its modes must not contradict.
    ("gfx942", "gfx942", True),
    ("gfx950", "gfx942", False),
    ("gfx942", "gfx942:sramecc+:xnack-", True),
    ("gfx942:xnack-", "gfx942:sramecc+:xnack-", True),
    ("gfx942:xnack+", "gfx942:sramecc+:xnack-", False),
    ("gfx90a", "gfx942:sramecc+:xnack-", False),
    ("sm_90", "gfx942", False),
    ("gfx942", "sm_90", False),
    ("x86_64", "x86_64", True),
]


@pytest.mark.parametrize(("arch", "built", "expected"), RUNS)
def test_runs_code(arch: str, built: str, expected: bool) -> None:
    assert runs_code(arch, built) is expected


def test_catalog_rows_have_a_source_and_a_platform() -> None:
    profiles = catalog().values()
    assert all(profile.source for profile in profiles)
    assert {profile.platform for profile in profiles} == {"cuda", "rocm", "cpu"}


def test_from_taxonomy_divides_memory_by_gpus_and_adds_the_architecture() -> None:
    row = {"brand": "NVIDIA", "generation": ["hopper", "x"], "gpu_count": 8, "vram_gb": 1128}
    profile = from_taxonomy("h200", row)
    assert (profile.vram_gib, profile.per_node, profile.generation, profile.arch) == (
        141,
        8,
        "hopper",
        "sm_90",
    )


@pytest.mark.parametrize("row", [{}, {"gpu_count": "many", "vram_gb": None}, {"gpu_count": 0}])
def test_from_taxonomy_accepts_missing_and_invalid_values(row: dict[str, object]) -> None:
    profile = from_taxonomy("new", row)
    assert (profile.per_node, profile.vram_gib, profile.arch) == (1, 0.0, "")


def test_pick_prefers_id_over_generation_over_brand() -> None:
    h200 = catalog()["h200"]
    assert h200.pick({"nvidia": 1, "hopper": 2, "h200": 3}) == ("h200", 3)
    assert h200.pick_wide({"nvidia": 1, "hopper": 2, "h200": 3}) == ("hopper", 2)
    assert h200.pick({"nvidia": 1}) == ("nvidia", 1)
    assert h200.pick({"amd": 1}) is None
