"""Simultaneous launches: each gets its own GPUs, or an error that names the container that has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from launch.allocation.holders import GpuSet, Holder
from launch.allocation.reservation import GpusTaken, conflicts, planned_holder, reserved
from launch.hardware.types import Gpu, GpuPartition
from launch.spec.plan import Container
from tests.conftest import ROOT

if TYPE_CHECKING:
    from docker import DockerClient

# A launch on a host with eight GPUs, whose engine stores its containers as files. It chooses GPUs, waits, reserves them
# and starts, or tries again if they are taken.
LAUNCH = """
import json, sys, time
from pathlib import Path
from errors import Failed
from launch.allocation.reservation import GpusTaken, reserved
from launch.hardware.types import Gpu
from launch.allocation.choose_gpus import choose
from launch.allocation.holders import holders
from launch.spec.plan import Container

name, count, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
gpus = [Gpu(i, "nvidia", "H200", uuid=f"GPU-{i}", links=tuple(j for j in range(8) if j != i)) for i in range(8)]

class Engine:
    @property
    def api(self): return self
    def containers(self): return [{"Id": path} for path in folder.glob("*.json")]
    def inspect_container(self, path): return json.loads(path.read_text())

sys.stdin.readline()  # all launches start together
for _ in range(10):
    try:
        ids = tuple(gpu.key for gpu in choose(gpus, count, holders(Engine())))
        time.sleep(0.05)
        with reserved(Engine(), Container(gpu_ids=ids), name, gpus, folder / "lock"):
            given = {"Name": "/" + name, "HostConfig": {"DeviceRequests": [{"DeviceIDs": list(ids)}]}}
            (folder / "part").write_text(json.dumps(given))
            (folder / "part").rename(folder / f"{name}.json")
        break
    except GpusTaken:
        continue
    except Failed as error:
        print(error.what)
        break
"""


def test_simultaneous_launches_share_no_gpu(tmp_path: Path) -> None:
    launches = [
        subprocess.Popen([sys.executable, "-c", LAUNCH, name, "3", str(tmp_path)], cwd=ROOT, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]  # fmt: skip
    for launch in launches:
        assert launch.stdin
        launch.stdin.write("\n")
        launch.stdin.flush()
    output = "".join(launch.communicate(timeout=60)[0] for launch in launches)
    started = [json.loads(path.read_text())["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
               for path in tmp_path.glob("*.json")]  # fmt: skip
    used = [gpu for gpus in started for gpu in gpus]
    assert (len(started), len(set(used))) == (2, 6)
    assert output == "--gpus 3: of 8 GPUs, 2 of one model are free\n"


class Engine:
    """An engine with one container, which has GPU 1 by its index."""

    @property
    def api(self) -> Engine:
        return self

    def containers(self) -> list[dict[str, str]]:
        return [{"Id": "x"}]

    def inspect_container(self, name: str) -> dict[str, object]:
        return {"Name": "/other", "HostConfig": {"DeviceRequests": [{"DeviceIDs": ["1"]}]}}


ENGINE = cast("DockerClient", Engine())
GPUS = [Gpu(i, "nvidia", uuid=f"GPU-{i}") for i in range(4)]


def test_reserved_matches_an_index_with_a_uuid(tmp_path: Path) -> None:
    wanted = Container(gpu_ids=("GPU-0", "GPU-1"))
    with pytest.raises(GpusTaken) as taken, reserved(ENGINE, wanted, "server", GPUS, tmp_path / "lock"):
        pytest.fail("two containers have one GPU")
    assert taken.value.why == "GPU 1: container other"


def test_reserved_matches_a_cdi_name_with_an_index(tmp_path: Path) -> None:
    wanted = Container(cdi=("nvidia.com/gpu=GPU-1",))
    with pytest.raises(GpusTaken), reserved(ENGINE, wanted, "server", GPUS, tmp_path / "lock"):
        pytest.fail("two containers have one GPU")
    with reserved(ENGINE, Container(cdi=("nvidia.com/gpu=2",)), "server", GPUS, tmp_path / "lock"):
        pass


def test_conflicts_matches_a_cdi_name_with_a_render_node() -> None:
    card = Gpu(0, "amd", parts=(GpuPartition(2, "/dev/dri/renderD128", cdi="amd.com/gpu=4"),))
    one = Holder("one", GpuSet.of(["/dev/dri/renderD128"]))
    assert conflicts(planned_holder(Container(cdi=("amd.com/gpu=4",)), "x"), [one], [card]) == [
        "GPU 0: container one"
    ]
    assert conflicts(planned_holder(Container(cdi=("amd.com/gpu=0",)), "x"), [one], [card]) == []


def test_reserved_allows_free_gpus_and_those_of_the_same_name(tmp_path: Path) -> None:
    with reserved(ENGINE, Container(gpu_ids=("GPU-2",)), "server", GPUS, tmp_path / "lock"):
        pass
    with reserved(ENGINE, Container(gpu_ids=("GPU-1",)), "other", GPUS, tmp_path / "lock"):
        pass


def test_reserved_without_gpus_needs_no_engine(tmp_path: Path) -> None:
    with reserved(cast("DockerClient", None), Container(), "server", GPUS, tmp_path / "lock"):
        pass


def test_conflicts_takes_dev_dri_as_all_cards() -> None:
    card = Gpu(0, "amd", parts=(GpuPartition(2, "/dev/dri/renderD128"),))
    guide = planned_holder(Container(devices=("/dev/kfd", "/dev/dri")), "guide")
    one = Holder("one", GpuSet.of(["/dev/dri/renderD128"]))
    assert conflicts(guide, [one], [card]) == ["GPU 0: container one"]
    assert (
        conflicts(planned_holder(Container(devices=("/dev/kfd", "/dev/dri/renderD136")), "x"), [one], [card])
        == []
    )
