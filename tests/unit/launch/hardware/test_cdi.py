"""CDI specs as files, and the names of this host's GPUs in them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launch.hardware import cdi, detect
from launch.hardware.types import Gpu, GpuPartition, VendorReport
from tests.unit.launch.hardware.trees import mi300x, write

SPEC = """{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
 "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}},
             {"name": "all", "containerEdits": {}}],
 "containerEdits": {"mounts": [{"hostPath": "/usr/lib/libcuda.so.580.65.06", "containerPath": "/x"}]}}"""


def entry(name: str, *nodes: str) -> dict[str, Any]:
    return {"name": name, "containerEdits": {"deviceNodes": [{"path": node} for node in nodes]}}


def put(root: Path, name: str, kind: str, *entries: dict[str, Any]) -> None:
    spec = {"cdiVersion": "0.6.0", "kind": kind, "devices": list(entries)}
    write(root / name, json.dumps(spec) if name.endswith("json") else yaml.safe_dump(spec))


def nvidia(root: Path, *uuids: str) -> list[str]:
    """Return the CDI names of GPUs with these UUIDs."""
    gpus = tuple(Gpu(index, "nvidia", uuid=uuid) for index, uuid in enumerate(uuids))
    return [gpu.cdi for gpu in cdi.with_names(VendorReport("nvidia", gpus=gpus), cdi.read_specs(root)).gpus]


def test_read_specs_returns_kind_names_and_nodes(tmp_path: Path) -> None:
    write(tmp_path / "etc/cdi/nvidia.json", SPEC)
    (spec,) = cdi.read_specs(tmp_path)
    assert (spec.path, spec.kind, spec.names, spec.drivers, spec.nodes) == (
        "/etc/cdi/nvidia.json",
        "nvidia.com/gpu",
        ("0", "all"),
        ("580.65.06",),
        (("/dev/nvidia0",), ()),
    )
    assert spec.missing == ("/dev/nvidia0",)
    write(tmp_path / "dev/nvidia0", "")
    assert cdi.read_specs(tmp_path)[0].missing == ()


@pytest.mark.parametrize(
    "text", ['{"kind": ', "[]", "null", "{}", '{"devices": 3, "kind": "x"}', "\x00", "{" * 3000]
)
@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_read_specs_reports_an_invalid_spec(tmp_path: Path, text: str, name: str) -> None:
    write(tmp_path / "var/run/cdi" / name, text)
    (spec,) = cdi.read_specs(tmp_path)
    assert spec.path == f"/var/run/cdi/{name}"
    assert spec.error


@given(st.text())
def test_read_specs_never_raises(text: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        write(Path(root, "etc/cdi/x.json"), text)
        (spec,) = cdi.read_specs(Path(root))
    assert spec.error or spec.kind


@pytest.mark.parametrize("name", ["etc/cdi/nvidia.yaml", "var/run/cdi/nvidia.json"])
def test_with_names_prefers_a_uuid_over_an_index(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, "nvidia.com/gpu", *map(entry, ("0", "1", "GPU-b", "all")))
    assert nvidia(tmp_path, "GPU-a", "GPU-b", "GPU-c") == ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-b", ""]


def test_with_names_knows_the_older_spelling_of_an_index(tmp_path: Path) -> None:
    put(tmp_path, "etc/cdi/nvidia.yaml", "nvidia.com/gpu", entry("gpu0"), entry("mig1:0"))
    assert nvidia(tmp_path, "GPU-a", "GPU-b") == ["nvidia.com/gpu=gpu0", ""]


def test_with_names_ignores_invalid_and_other_specs(tmp_path: Path) -> None:
    put(tmp_path, "etc/cdi/other.yaml", "nvidia.com/pgpu", entry("0"))
    write(tmp_path / "etc/cdi/nvidia.yaml", '{"kind": "nvidia.com/gpu", "devices": [{"name": "0"}')
    assert nvidia(tmp_path, "GPU-a") == [""]


def test_with_names_takes_a_yaml_number_as_a_name(tmp_path: Path) -> None:
    write(tmp_path / "etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\ndevices:\n- name: 0\n")
    assert nvidia(tmp_path, "GPU-a") == ["nvidia.com/gpu=0"]


def test_with_names_matches_amd_cards_by_render_node(tmp_path: Path) -> None:
    # As amd-ctk writes it: card node, render node and /dev/kfd in each entry, and another order of cards.
    entries = [
        entry(str(7 - index), f"/dev/dri/card{index}", f"/dev/dri/renderD{128 + 8 * index}", "/dev/kfd")
        for index in range(8)
    ]
    put(tmp_path, "etc/cdi/amd.json", "amd.com/gpu", entry("all", "/dev/dri/renderD128"), *entries)
    gpus = detect.detect(mi300x(tmp_path)).amd.gpus
    assert [gpu.cdi_names for gpu in gpus] == [(f"amd.com/gpu={7 - index}",) for index in range(8)]


def test_with_names_matches_partitions_or_the_whole_card(tmp_path: Path) -> None:
    first = [entry(str(part), f"/dev/dri/renderD{128 + part}", "/dev/kfd") for part in range(8)]
    second = entry("8", *(f"/dev/dri/renderD{136 + part}" for part in range(8)), "/dev/kfd")
    third = [entry(str(9 + part), f"/dev/dri/renderD{144 + part}") for part in range(7)]
    put(tmp_path, "etc/cdi/amd.yaml", "amd.com/gpu", *first, second, *third)
    gpus = detect.detect(mi300x(tmp_path, partitions=8)).amd.gpus
    assert gpus[0].cdi_names == tuple(f"amd.com/gpu={part}" for part in range(8))
    assert gpus[1].cdi_names == ("amd.com/gpu=8",)
    assert gpus[2].cdi_names == ()  # one of its partitions has none


def test_with_names_leaves_a_card_without_a_render_node_unnamed(tmp_path: Path) -> None:
    put(tmp_path, "etc/cdi/amd.yaml", "amd.com/gpu", entry("0", "/dev/kfd"))
    report = VendorReport("amd", gpus=(Gpu(0, "amd", parts=(GpuPartition(1),)),))
    assert cdi.with_names(report, cdi.read_specs(tmp_path)).gpus[0].cdi_names == ()
