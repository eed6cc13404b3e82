"""The selected GPUs of recorded and rebuilt hosts, and the devices in their plans."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errors import Failed, Refused
from launch.access import seccomp
from launch.allocation.holders import GpuSet, Holder
from launch.allocation.selected_gpus import SelectedGpus, describe, groups, select_gpus
from launch.hardware import amd
from launch.hardware.types import Gpu, GpuProcess, Hardware, VendorReport
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.spec.gpu_catalog import HardwareProfile, catalog
from launch.spec.plan import Container
from launch.spec.plan_options import PlanOptions
from tests.conftest import SHARED
from tests.unit.launch.hardware.trees import mi300x, write
from tests.unit.launch.plan_builders import M2, host, recipe

GIB = 2**30
RECORDED = SHARED / "hardware"


def container(chosen: SelectedGpus, **options: Any) -> Container:
    machine = chosen.on(host(chosen.hardware.id))
    image = image_for(machine.hardware.platform, "0.32.0", "", None)
    return make_plan(PlanOptions(M2, **options), machine, recipe(M2), image).container


def h200(count: int = 8) -> Hardware:
    gpus = tuple(
        Gpu(i, "nvidia", "NVIDIA H200", "h200", "sm_90", f"GPU-{i:04}", memory=143771 << 20, numa=i // 4,
            links=tuple(j for j in range(count) if j != i))
        for i in range(count)
    )  # fmt: skip
    return Hardware(nvidia=VendorReport("nvidia", "580.65.06", "13.0", gpus))


def rocm(root: Path, **options: Any) -> SelectedGpus:
    return select_gpus(Hardware(amd=amd.read(root)), root=root, **options)


def test_select_gpus_on_eight_mi300x(tmp_path: Path) -> None:
    found = container(rocm(mi300x(tmp_path)))
    assert found.devices == ("/dev/kfd", *(f"/dev/dri/renderD{minor}" for minor in range(128, 192, 8)))
    assert (found.privileged, found.cap_add, found.network) == (False, (), "")
    assert found.security_opt == ("no-new-privileges", f"seccomp={seccomp.PROFILE}")


def test_select_gpus_passes_two_render_nodes_for_two_gpus(tmp_path: Path) -> None:
    found = container(rocm(mi300x(tmp_path), wanted="2,5"))
    assert found.devices == ("/dev/kfd", "/dev/dri/renderD144", "/dev/dri/renderD168")


def test_select_gpus_takes_four_of_eight_h200() -> None:
    chosen = select_gpus(h200(), "4", running=[Holder("other", GpuSet.of(["GPU-0001"]))])
    assert container(chosen).gpu_ids == ("GPU-0004", "GPU-0005", "GPU-0006", "GPU-0007")
    assert round(chosen.vram_gib or 0, 1) == 140.4


def test_select_gpus_passes_cdi_names_if_the_engine_needs_them() -> None:
    seen = h200()
    gpus = tuple(replace(gpu, cdi=f"nvidia.com/gpu={gpu.uuid}") for gpu in seen.nvidia.gpus)
    chosen = select_gpus(Hardware(nvidia=replace(seen.nvidia, gpus=gpus)), "2,5")
    assert container(chosen).cdi == ()
    found = container(replace(chosen, cdi_reason="podman"))
    assert (found.gpu_ids, found.cdi) == ((), ("nvidia.com/gpu=GPU-0002", "nvidia.com/gpu=GPU-0005"))
    half = (*gpus[:5], replace(gpus[5], cdi=""), *gpus[6:])
    assert select_gpus(Hardware(nvidia=replace(seen.nvidia, gpus=half)), "2,5").cdi == ()


def test_select_gpus_without_a_number_takes_all_free_gpus() -> None:
    chosen = select_gpus(h200(), running=[Holder("other", GpuSet.of(["GPU-0001"]))])
    assert [gpu.index for gpu in chosen.gpus] == [0, 2, 3, 4, 5, 6, 7]


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded topologies in ../shared")
def test_select_gpus_on_recorded_mi210() -> None:
    chosen = rocm(RECORDED / "kfd-mi210-x8", wanted="2")
    assert (chosen.hardware.id, chosen.vram_gib) == ("mi210", None)  # this recording has no memory sizes
    assert chosen.devices == ("/dev/dri/renderD128", "/dev/dri/renderD129")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded topologies in ../shared")
def test_select_gpus_counts_a_partitioned_card_as_four_ranks() -> None:
    chosen = rocm(RECORDED / "kfd-mi308x-x8-cpx", wanted="1,")
    assert chosen.devices == tuple(f"/dev/dri/renderD{minor}" for minor in (136, 137, 138, 139))
    assert (chosen.hardware.id, chosen.ranks, round(chosen.vram_gib or 0)) == ("mi308x", 4, 48)
    assert chosen.on(host("mi308x")).gpus == 4


def test_select_gpus_counts_partitions_as_ranks(tmp_path: Path) -> None:
    chosen = rocm(mi300x(tmp_path, partitions=8))
    assert (chosen.ranks, chosen.hardware.per_node, chosen.vram_gib) == (64, 64, 24)
    assert describe(h200().gpus[:2]).hardware.per_node == 8  # as on the usual machine


def test_describe_ignores_a_uuid_that_two_gpus_share() -> None:
    cards = [Gpu(i, "amd", "MI300X VF", "mi300x", uuid=f"GPU-{i}", pci=f"0000:0{i}:00.0") for i in range(2)]
    assert describe(cards).gpu_ids == ("GPU-0", "GPU-1")
    assert describe([replace(card, uuid="GPU-9") for card in cards]).gpu_ids == ()


def test_describe_takes_the_architecture_from_the_driver() -> None:
    card = Gpu(0, "nvidia", "NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx_pro_6000", "sm_120", "GPU-x")
    table = {
        "rtx_pro_6000": HardwareProfile("rtx_pro_6000", "NVIDIA", "blackwell", 96, per_node=1, scalable=False)
    }
    found = describe([card], table).hardware
    assert (found.arch, found.generation, found.scalable) == ("sm_120", "blackwell", False)


def test_groups_are_numbers_without_roots(tmp_path: Path) -> None:
    write(tmp_path / "dev/kfd", "")
    write(tmp_path / "dev/dri/renderD128", "")
    if os.geteuid() == 0:
        os.chown(tmp_path / "dev/kfd", 0, 993)
        os.chown(tmp_path / "dev/dri/renderD128", 0, 44)
        assert groups(("/dev/kfd", "/dev/dri/renderD128"), tmp_path) == ("44", "993")
        os.chown(tmp_path / "dev/kfd", 0, 0)
        assert groups(("/dev/kfd", "/dev/dri/renderD128", "/dev/none"), tmp_path) == ("44",)
    else:
        assert groups(("/dev/kfd", "/dev/none"), tmp_path) == (str(os.getgid()),)


def test_describe_makes_a_profile_for_an_unlisted_gpu() -> None:
    card = Gpu(0, "nvidia", "NVIDIA RTX PRO 9000", "", "sm_121", "GPU-x", memory=96 * GIB)
    found = describe([card], catalog()).hardware
    assert (found.id, found.brand, found.arch, found.vram_gib) == (
        "nvidia-rtx-pro-9000",
        "NVIDIA",
        "sm_121",
        96,
    )
    assert found.platform == "cuda"


def test_select_gpus_without_gpus_names_a_fix() -> None:
    with pytest.raises(Refused, match="no hardware to plan for") as refusal:
        select_gpus(Hardware())
    assert "--platform cpu" in refusal.value.fix
    with pytest.raises(Refused) as refusal:
        select_gpus(Hardware(), platform="rocm")
    assert refusal.value.why == "this machine has no GPU for rocm"
    assert refusal.value.fix.startswith("--hardware mi300x ")


def test_select_gpus_reuses_the_gpus_of_the_replaced_server() -> None:
    seen = h200()
    busy = Hardware(nvidia=replace(seen.nvidia, gpus=tuple(
        replace(gpu, used=130 * GIB, processes=(GpuProcess(9, "vllm"),)) if gpu.index in (2, 3) else gpu
        for gpu in seen.nvidia.gpus
    )))  # fmt: skip
    server = Holder("slipway-minimax-m2", GpuSet.of(["GPU-0002", "GPU-0003"]))
    # The same request finds the same GPUs, so that the same plan keeps running.
    assert [gpu.index for gpu in select_gpus(busy, "2", running=[server], own=server.name).gpus] == [2, 3]
    # Another request may select_gpus them, because it replaces the server.
    assert select_gpus(busy, "8", running=[server], own=server.name).ranks == 8
    with pytest.raises(Failed, match="--gpus 8: of 8 GPUs, 6"):
        select_gpus(busy, "8", running=[server], own="another")
