"""A log file is read however it was kept, and what is no log is refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from commands.diagnose import evidence_of
from errors import Refused
from launch.diagnosis.diagnose import Diagnosis, diagnose

LOG = (Path(__file__).with_name("logs") / "out-of-memory.log").read_bytes()
TEXT = LOG.decode()
KEPT = {
    "plain": LOG,
    "gz": gzip.compress(LOG),
    "bz2": bz2.compress(LOG),
    "xz": lzma.compress(LOG),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 without its mark": TEXT.encode("utf-16-le"),
    "utf-8 with a mark": b"\xef\xbb\xbf" + LOG,
    "truncated while it was written": b"\0" * 10_000 + LOG,
    "other letters": "模型加载失败\n".encode("gbk") * 20 + LOG,
    "old line ends": LOG.replace(b"\n", b"\r"),
    "Windows": LOG.replace(b"\n", b"\r\n"),
}


def explain(tmp_path: Path, content: bytes) -> Diagnosis:
    log = tmp_path / "log"
    log.write_bytes(content)
    return diagnose(evidence_of(str(log)))


@pytest.mark.parametrize("kept", KEPT)
def test_however_it_was_kept(tmp_path: Path, kept: str) -> None:
    found = explain(tmp_path, KEPT[kept])
    assert found.cause_id == "gpu-memory"
    assert found.proof[0].startswith("(Worker_TP1) torch.OutOfMemoryError: CUDA out of memory.")


def test_a_packed_log_that_is_cut_off_tells_what_is_left(tmp_path: Path) -> None:
    import random

    noise = random.Random(1).randbytes(100_000).hex().encode()
    packed = gzip.compress(LOG + noise)
    assert explain(tmp_path, packed[: len(packed) // 2]).cause_id == "gpu-memory"


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, bytes(range(128, 256)) * 9]
)
def test_what_is_no_text_is_no_log(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Refused, match="is no log: it holds no text"):
        explain(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "tool"), [(b"\x28\xb5\x2f\xfd...", "zstd -d"), (b"PK\x03\x04...", "unzip")]
)
def test_what_python_cannot_unpack_is_named(tmp_path: Path, content: bytes, tool: str) -> None:
    with pytest.raises(Refused) as refused:
        explain(tmp_path, content)
    assert refused.value.fix.startswith(tool)


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    assert explain(tmp_path, b"").cause == "the log is empty"


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a folder"):
        evidence_of(str(tmp_path))


def test_one_line_without_an_end_costs_neither_memory_nor_time(tmp_path: Path) -> None:
    import tracemalloc

    log = tmp_path / "log"
    log.write_bytes(b'] ("Error: pid=1 ' * 500_000)
    tracemalloc.start()
    diagnose(evidence_of(str(log)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20
