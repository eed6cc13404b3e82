"""KFD topologies that differ from the recorded ones: partitions, virtual machines, APUs, unreadable nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.hardware import amd, sysfs
from launch.hardware.types import Gpu
from tests.unit.launch.hardware.trees import GIB, kfd_node, link, mi300a, mi300x, write


def partitions(root: Path, places: list[int], size: int = 24 * GIB, **more: list[int]) -> tuple[Gpu, ...]:
    """Return the cards of nodes with one compute die each, at these locations; `more` are their properties."""
    for index, place in enumerate(places):
        properties = {name: values[index] for name, values in more.items()}
        kfd_node(
            root,
            1 + index,
            banks=(size,),
            simd_count=152,
            device_id=0x74A1,
            location_id=place,
            drm_render_minor=128 + index,
            num_xcc=1,
            **properties,
        )
    return amd.read(root).gpus


@pytest.mark.parametrize("shift", [0, 28])
def test_cards_reads_partition_numbers_in_low_or_high_bits(tmp_path: Path, shift: int) -> None:
    (card,) = partitions(tmp_path, [0x2600 | part << shift for part in range(8)])
    assert (card.pci, card.ranks, card.partition) == ("0000:26:00.0", 8, "CPX")


def test_cards_joins_partitions_with_different_unique_ids(tmp_path: Path) -> None:
    (card,) = partitions(tmp_path, [0x2600 + part for part in range(8)], unique_id=list(range(50, 58)))
    assert (card.ranks, card.uuid, card.key) == (8, "", "0000:26:00.0")


def test_cards_separates_functions_that_exist_on_the_bus(tmp_path: Path) -> None:
    write(tmp_path / "sys/bus/pci/devices/0000:06:00.1/numa_node", 0)
    cards = partitions(tmp_path, [0x0600, 0x0601], unique_id=[5, 6])
    assert [(card.pci, card.ranks) for card in cards] == [("0000:06:00.0", 1), ("0000:06:00.1", 1)]


def test_cards_separates_virtual_functions_with_one_unique_id(tmp_path: Path) -> None:
    cards = partitions(tmp_path, [0x0500, 0x0600, 0x0700], unique_id=[9, 9, 9])
    assert [card.pci for card in cards] == ["0000:05:00.0", "0000:06:00.0", "0000:07:00.0"]


def test_cards_separates_hyper_v_gpus_by_domain(tmp_path: Path) -> None:
    cards = partitions(tmp_path, [0, 0], domain=[2, 3])
    assert [card.pci for card in cards] == ["0002:00:00.0", "0003:00:00.0"]


def test_cards_without_addresses_joins_by_unique_id(tmp_path: Path) -> None:
    cards = partitions(tmp_path, [0, 0, 0, 0], unique_id=[4, 4, 0, 0])
    assert [card.ranks for card in cards] == [2, 1, 1]


def test_partitions_that_report_the_whole_memory_share_it(tmp_path: Path) -> None:
    write(tmp_path / "sys/bus/pci/devices/0000:26:00.0/mem_info_vram_total", 192 * GIB)
    (card,) = partitions(tmp_path, [0x2600 + part for part in range(8)], size=192 * GIB)
    assert (card.memory, {part.memory for part in card.parts}) == (192 * GIB, {24 * GIB})


def test_mi250x_is_two_gpus(tmp_path: Path) -> None:
    kfd_node(tmp_path, 0, cpu_cores_count=64, simd_count=0)
    for number, bus in ((1, 0xC1), (2, 0xC6)):
        node = kfd_node(
            tmp_path,
            number,
            banks=(64 * GIB,),
            simd_count=440,
            device_id=0x7408,
            location_id=bus << 8,
            drm_render_minor=127 + number,
            unique_id=0x40 + number,
            num_xcc=1,
        )
        link(node, 0, 11, 0)  # these processors have xGMI too
        link(node, 1, 11, 3 - number)
    gpus = amd.read(tmp_path).gpus
    assert [(gpu.hardware, gpu.links, gpu.numa) for gpu in gpus] == [("mi250x", (1,), 0), ("mi250x", (0,), 0)]
    assert [(gpu.ranks, gpu.partition) for gpu in gpus] == [(1, ""), (1, "")]


def test_mi300a_has_the_memory_that_hip_may_use(tmp_path: Path) -> None:
    gpus = amd.read(mi300a(tmp_path)).gpus
    assert {(gpu.hardware, gpu.memory, gpu.used, gpu.partition) for gpu in gpus} == {
        ("mi300a", 125 * GIB, None, "SPX")
    }
    assert [gpu.pci for gpu in gpus][1:3] == ["0001:02:00.0", "0002:02:00.0"]
    assert [(gpu.numa, gpu.links) for gpu in gpus][1:3] == [(1, (0, 2, 3)), (2, (0, 1, 3))]


def test_a_desktop_apu_has_more_than_its_reserved_memory(tmp_path: Path) -> None:
    write(tmp_path / "sys/bus/pci/devices/0000:c5:00.0/mem_info_vram_total", GIB // 2)
    write(tmp_path / "sys/bus/pci/devices/0000:c5:00.0/mem_info_vram_used", GIB // 4)
    kfd_node(tmp_path, 1, banks=(62 * GIB,), simd_count=80, device_id=0x1586, location_id=0xC500)
    (gpu,) = amd.read(tmp_path).gpus
    assert (gpu.memory, gpu.used, gpu.parts[0].memory) == (62 * GIB, None, 62 * GIB)


def test_gpus_of_other_containers_are_counted_and_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel returns EPERM for them. For root, no mode of a plain file does that."""
    mi300x(tmp_path)
    nodes = tmp_path / "sys/class/kfd/kfd/topology/nodes"
    for number in range(3, 10):
        (nodes / f"{number}/properties").write_text("")
    (nodes / "9/properties").unlink()
    monkeypatch.setattr(sysfs, "is_denied", lambda path: path.is_file())
    report = amd.read(tmp_path)
    assert [gpu.devices for gpu in report.gpus] == [("/dev/dri/renderD128",)]
    assert report.problems == (
        "6 more GPU nodes that this process may not read: they belong to other containers",
        "KFD node 9: its properties cannot be read",
    )


def test_is_denied_is_true_only_for_a_permission_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "open", "1")
    assert not sysfs.is_denied(tmp_path / "open")
    assert not sysfs.is_denied(tmp_path / "none")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    assert sysfs.is_denied(tmp_path / "open")


def test_a_removed_render_node_is_a_problem(tmp_path: Path) -> None:
    mi300x(tmp_path)
    for minor in range(128, 184, 8):
        write(tmp_path / f"dev/dri/renderD{minor}", "")
    gpus = amd.read(tmp_path).gpus
    assert [gpu.problem for gpu in gpus[:7]] == [""] * 7
    assert gpus[7].problem == "its render node does not exist: /dev/dri/renderD184"


def test_partition_modes_are_upper_case(tmp_path: Path) -> None:
    mi300x(tmp_path)
    pci = tmp_path / "sys/bus/pci/devices/0000:05:00.0"
    write(pci / "current_compute_partition", "spx")
    write(pci / "current_memory_partition", "nps1")
    (first, *_) = amd.read(tmp_path).gpus
    assert (first.partition, first.memory_partition) == ("SPX", "NPS1")


def test_numa_ignores_links_to_hidden_gpus(tmp_path: Path) -> None:
    kfd_node(tmp_path, 1, cpu_cores_count=96, simd_count=0)
    node = kfd_node(tmp_path, 3, simd_count=1216, location_id=0x0500)
    link(node, 0, 2, 2)
    assert amd.read(tmp_path).gpus[0].numa is None
    link(node, 1, 2, 1)
    assert amd.read(tmp_path).gpus[0].numa == 1
