"""Launches at the same moment: each gets GPUs of its own, or is told who has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launch.allocation.gpus import Holder
from launch.allocation.reservation import Taken, claimed, conflicts, mine
from launch.hardware.types import Gpu, Part
from launch.spec.plan import Container
from tests.conftest import ROOT

# A launch on a host of eight GPUs whose engine keeps its containers as files. It chooses, dawdles, claims, starts,
# and begins again where the GPUs are gone.
LAUNCH = """
import json, sys, time
from pathlib import Path
from errors import Failed
from launch.allocation.reservation import Taken, claimed
from launch.hardware.types import Gpu
from launch.allocation.gpus import choose, holders
from launch.spec.plan import Container

name, count, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
gpus = [Gpu(i, "nvidia", "H200", uuid=f"GPU-{i}", links=tuple(j for j in range(8) if j != i)) for i in range(8)]

class Engine:
    @property
    def api(self): return self
    def containers(self): return [{"Id": path} for path in folder.glob("*.json")]
    def inspect_container(self, path): return json.loads(path.read_text())

sys.stdin.readline()  # all begin together
for _ in range(10):
    try:
        ids = tuple(gpu.key for gpu in choose(gpus, count, holders(Engine())))
        time.sleep(0.05)
        with claimed(Engine(), Container(gpu_ids=ids), name, gpus, folder / "lock"):
            given = {"Name": "/" + name, "HostConfig": {"DeviceRequests": [{"DeviceIDs": list(ids)}]}}
            (folder / "part").write_text(json.dumps(given))
            (folder / "part").rename(folder / f"{name}.json")
        break
    except Taken:
        continue
    except Failed as error:
        print(error.what)
        break
"""


def test_launches_at_once_share_no_gpu(tmp_path: Path) -> None:
    launches = [
        subprocess.Popen([sys.executable, "-c", LAUNCH, name, "3", str(tmp_path)], cwd=ROOT, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]  # fmt: skip
    for launch in launches:
        assert launch.stdin
        launch.stdin.write("\n")
        launch.stdin.flush()
    said = "".join(launch.communicate(timeout=60)[0] for launch in launches)
    started = [json.loads(path.read_text())["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
               for path in tmp_path.glob("*.json")]  # fmt: skip
    given = [gpu for gpus in started for gpu in gpus]
    assert (len(started), len(set(given))) == (2, 6)
    assert said == "3 GPUs are wanted, 2 of one model free of 8\n"


class Engine:
    """One container, with GPU 1 by its index."""

    @property
    def api(self) -> Engine:
        return self

    def containers(self) -> list[dict[str, str]]:
        return [{"Id": "x"}]

    def inspect_container(self, name: str) -> dict[str, object]:
        return {"Name": "/annas", "HostConfig": {"DeviceRequests": [{"DeviceIDs": ["1"]}]}}


GPUS = [Gpu(i, "nvidia", uuid=f"GPU-{i}") for i in range(4)]


def test_an_index_and_a_uuid_are_the_same_gpu(tmp_path: Path) -> None:
    wanted = Container(gpu_ids=("GPU-0", "GPU-1"))
    with pytest.raises(Taken) as taken, claimed(Engine(), wanted, "ours", GPUS, tmp_path / "lock"):
        pytest.fail("a GPU was given away twice")
    assert taken.value.why == "GPU 1: container annas"


def test_a_cdi_name_and_an_index_are_the_same_gpu(tmp_path: Path) -> None:
    wanted = Container(cdi=("nvidia.com/gpu=GPU-1",))
    with pytest.raises(Taken), claimed(Engine(), wanted, "ours", GPUS, tmp_path / "lock"):
        pytest.fail("a GPU was given away twice")
    with claimed(Engine(), Container(cdi=("nvidia.com/gpu=2",)), "ours", GPUS, tmp_path / "lock"):
        pass


def test_a_cdi_name_and_a_render_node_are_the_same_card() -> None:
    card = Gpu(0, "amd", parts=(Part(2, "/dev/dri/renderD128", cdi="amd.com/gpu=4"),))
    one = Holder("one", ("/dev/dri/renderD128",))
    assert conflicts(mine(Container(cdi=("amd.com/gpu=4",)), "x"), [one], [card]) == ["GPU 0: container one"]
    assert conflicts(mine(Container(cdi=("amd.com/gpu=0",)), "x"), [one], [card]) == []


def test_free_ones_and_our_own_are_no_conflict(tmp_path: Path) -> None:
    with claimed(Engine(), Container(gpu_ids=("GPU-2",)), "ours", GPUS, tmp_path / "lock"):
        pass
    with claimed(Engine(), Container(gpu_ids=("GPU-1",)), "annas", GPUS, tmp_path / "lock"):
        pass


def test_without_gpus_no_engine_is_asked(tmp_path: Path) -> None:
    with claimed(None, Container(), "ours", GPUS, tmp_path / "lock"):
        pass


def test_all_render_nodes_are_all_cards() -> None:
    card = Gpu(0, "amd", parts=(Part(2, "/dev/dri/renderD128"),))
    guide = mine(Container(devices=("/dev/kfd", "/dev/dri")), "guide")
    one = Holder("one", ("/dev/dri/renderD128",))
    assert conflicts(guide, [one], [card]) == ["GPU 0: container one"]
    assert conflicts(mine(Container(devices=("/dev/kfd", "/dev/dri/renderD136")), "x"), [one], [card]) == []
