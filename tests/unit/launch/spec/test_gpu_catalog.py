"""The GPU catalog, profiles of a taxonomy, and the rule for which compiled code a GPU runs."""

from __future__ import annotations

import pytest

from launch.spec.gpu_catalog import HardwareProfile, catalog, find, from_taxonomy, runs_code

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


def test_catalog_has_less_memory_from_the_driver_than_on_the_data_sheet() -> None:
    gpus = [profile for profile in catalog().values() if profile.platform != "cpu"]
    assert all(0.9 * gpu.vram_gib < gpu.memory_gib < gpu.vram_gib for gpu in gpus)
    assert all(gpu.driver_source for gpu in gpus if gpu.driver_gib)


def test_memory_of_a_card_without_a_driver_number_is_the_smallest_share() -> None:
    assert HardwareProfile(vram_gib=100.0).memory_gib == pytest.approx(91.8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h200", "h200"),
        ("H200", "h200"),
        ("rtx-pro-6000", "rtx_pro_6000"),
        ("NVIDIA GeForce RTX 5090", "rtx_5090"),
        ("4090", "rtx_4090"),
        ("gb10", "dgx_spark_gb10"),
        ("AMD Instinct MI300X", "mi300x"),
        ("a40", "a40"),
        ("a4", ""),
        ("nvidia", ""),
        ("", ""),
    ],
)
def test_find_takes_the_names_that_people_write(name: str, expected: str) -> None:
    found = find(catalog(), name)
    assert (found.id if found else "") == expected


def test_from_taxonomy_knows_the_card_of_a_machine_with_two() -> None:
    profile = from_taxonomy("rtx_pro_6000_2x", {"brand": "NVIDIA", "gpu_count": 2, "vram_gb": 192})
    assert (profile.vram_gib, profile.memory_gib, profile.arch) == (96, 94.97, "sm_120")


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
