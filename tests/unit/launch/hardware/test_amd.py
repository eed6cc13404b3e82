"""AMD hosts: two recorded topologies, machines written as files, and invalid files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from launch.hardware import amd, sysfs
from launch.hardware.types import VendorReport
from tests.unit.launch.hardware.trees import GIB, MI300X_BUSES, kfd_node, link, mi300x, write

Recorded = Callable[[str], Path]


def test_read_recorded_mi210(recorded: Recorded) -> None:
    report = amd.read(recorded("kfd-mi210-x8"))
    assert [gpu.hardware for gpu in report.gpus] == ["mi210"] * 8
    assert [gpu.devices for gpu in report.gpus] == [(f"/dev/dri/renderD{128 + i}",) for i in range(8)]
    assert (report.gpus[0].arch, report.gpus[0].pci, report.gpus[0].partition) == (
        "gfx90a",
        "0000:63:00.0",
        "",
    )
    # Bridges join two hives of four.
    assert [gpu.links for gpu in report.gpus[:5:4]] == [(1, 2, 3), (5, 6, 7)]


def test_read_recorded_mi308x_partitions_as_eight_cards(recorded: Recorded) -> None:
    report = amd.read(recorded("kfd-mi308x-x8-cpx"))
    assert len(report.gpus) == 8
    assert {(gpu.hardware, gpu.arch, gpu.partition, gpu.ranks) for gpu in report.gpus} == {
        ("mi308x", "gfx942", "CPX", 4)
    }
    assert report.gpus[1].devices == tuple(f"/dev/dri/renderD{minor}" for minor in (136, 137, 138, 139))
    assert (report.gpus[4].pci, round((report.gpus[4].memory or 0) / GIB)) == ("0001:0b:00.0", 192)
    assert report.gpus[0].links == (1, 2, 3, 4, 5, 6, 7)


def test_read_eight_whole_mi300x(tmp_path: Path) -> None:
    gpus = amd.read(mi300x(tmp_path)).gpus
    assert [gpu.hardware for gpu in gpus] == ["mi300x"] * 8
    assert [gpu.pci for gpu in gpus] == [f"0000:{bus:02x}:00.0" for bus in MI300X_BUSES]
    assert [gpu.devices for gpu in gpus][:2] == [("/dev/dri/renderD128",), ("/dev/dri/renderD136",)]
    assert [gpu.numa for gpu in gpus] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert (gpus[3].partition, gpus[3].memory_partition, gpus[3].memory, gpus[3].used) == (
        "SPX", "NPS1", 192 * GIB, 300 << 20,
    )  # fmt: skip
    assert gpus[3].links == (0, 1, 2, 4, 5, 6, 7)
    assert gpus[3].uuid == "GPU-000000000000a003"


def test_read_64_partitions_of_mi300x_as_eight_cards(tmp_path: Path) -> None:
    gpus = amd.read(mi300x(tmp_path, partitions=8)).gpus
    assert [gpu.ranks for gpu in gpus] == [8] * 8
    assert gpus[7].devices == tuple(f"/dev/dri/renderD{184 + i}" for i in range(8))
    assert [part.memory for part in gpus[0].parts] == [24 * GIB] * 8
    assert gpus[0].links == (1, 2, 3, 4, 5, 6, 7)


def test_read_names_an_unlisted_gpu_by_its_device_id(tmp_path: Path) -> None:
    kfd_node(tmp_path, 1, simd_count=256, device_id=0x75C1, gfx_target_version=120500, drm_render_minor=128)
    (gpu,) = amd.read(tmp_path).gpus
    assert (gpu.hardware, gpu.name, gpu.arch) == ("", "AMD GPU 1002:75c1", "gfx1250")


def test_read_lists_processes_that_use_vram(tmp_path: Path) -> None:
    mi300x(tmp_path)
    write(tmp_path / "sys/class/kfd/kfd/proc/4711/vram_1002", 5 * GIB)
    write(tmp_path / "sys/class/kfd/kfd/proc/4712/vram_1002", 0)
    write(tmp_path / "proc/4711/comm", "python3")
    first, second = amd.read(tmp_path).gpus[:2]
    assert [(p.pid, p.name, p.memory) for p in first.processes] == [(4711, "python3", 5 * GIB)]
    assert second.processes == ()


def test_read_separates_virtual_functions_by_pci_address(tmp_path: Path) -> None:
    for number, bus in ((1, 3), (2, 4)):
        kfd_node(
            tmp_path,
            number,
            simd_count=1216,
            device_id=0x74B5,
            location_id=bus << 8,
            drm_render_minor=127 + number,
        )
    assert [gpu.pci for gpu in amd.read(tmp_path).gpus] == ["0000:03:00.0", "0000:04:00.0"]


def test_read_finds_render_nodes_that_kfd_does_not_name(tmp_path: Path) -> None:
    kfd_node(tmp_path, 1, simd_count=256, device_id=0x740F, location_id=0x6300)
    assert "render node" in amd.read(tmp_path).gpus[0].problem
    node = tmp_path / "sys/class/drm/renderD130"
    node.mkdir(parents=True)
    (node / "device").symlink_to("../../../0000:63:00.0")
    (gpu,) = amd.read(tmp_path).gpus
    assert (gpu.devices, gpu.problem) == (("/dev/dri/renderD130",), "")


def test_read_reports_nodes_that_cannot_be_read(tmp_path: Path) -> None:
    mi300x(tmp_path)
    nodes = tmp_path / "sys/class/kfd/kfd/topology/nodes"
    (nodes / "4/properties").write_text("")
    (nodes / "5/properties").unlink()
    report = amd.read(tmp_path)
    assert len(report.gpus) == 6
    assert report.problems == (
        "KFD node 4: its properties cannot be read",
        "KFD node 5: its properties cannot be read",
    )


def test_read_prefers_links_over_the_hive(tmp_path: Path) -> None:
    for number in range(1, 4):
        node = kfd_node(tmp_path, number, simd_count=1, location_id=number << 8, hive_id=9)
        link(node, 0, 11 if number < 3 else 2, 3 - number if number < 3 else 0)
    assert [gpu.links for gpu in amd.read(tmp_path).gpus] == [(1,), (0,), ()]


def test_read_without_amd_gpus(tmp_path: Path) -> None:
    assert amd.read(tmp_path) == VendorReport("amd")


@given(st.text())
def test_parse_properties_accepts_any_text(text: str) -> None:
    assert all(isinstance(value, int) for value in sysfs.parse_properties(text).values())


NAMES = st.sampled_from(
    [
        "simd_count",
        "unique_id",
        "location_id",
        "domain",
        "drm_render_minor",
        "device_id",
        "hive_id",
        "num_xcc",
    ]
)
LINE = st.builds("{} {}".format, NAMES, st.integers() | st.text(max_size=8))
PROPERTIES = st.text() | st.lists(LINE, max_size=12).map("\n".join)


@settings(max_examples=40)
@given(st.lists(PROPERTIES, max_size=5), st.text())
def test_read_never_raises(properties: list[str], bank: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        for number, text in enumerate(properties):
            folder = Path(root, "topology/nodes", str(number))
            write(folder / "properties", text)
            write(folder / "mem_banks/0/properties", bank)
        report = amd.read(Path(root))
    assert len(report.gpus) <= len(properties)
    assert all(gpu.vendor == "amd" and gpu.ranks >= 1 for gpu in report.gpus)
