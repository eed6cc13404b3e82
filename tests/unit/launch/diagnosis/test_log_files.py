"""Decode log files: compressed, in different encodings, truncated."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from pathlib import Path

import pytest

from errors import Refused
from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.log_files import decode_lines

LOG = (Path(__file__).with_name("logs") / "out-of-memory.log").read_bytes()
TEXT = LOG.decode()
FILES = {
    "plain": LOG,
    "gzip": gzip.compress(LOG),
    "bzip2": bz2.compress(LOG),
    "xz": lzma.compress(LOG),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 without a byte order mark": TEXT.encode("utf-16-le"),
    "utf-8 with a byte order mark": b"\xef\xbb\xbf" + LOG,
    "truncated while it was written": b"\0" * 10_000 + LOG,
    "another encoding": "模型加载失败\n".encode("gbk") * 20 + LOG,
    "carriage returns as line ends": LOG.replace(b"\n", b"\r"),
    "line ends of Windows": LOG.replace(b"\n", b"\r\n"),
}


def diagnose_file(content: bytes) -> Diagnosis:
    return diagnose(DiagnosisInput(decode_lines(io.BufferedReader(io.BytesIO(content)), "server.log")))


@pytest.mark.parametrize("name", FILES)
def test_decode_lines_reads_every_kind_of_log_file(name: str) -> None:
    found = diagnose_file(FILES[name])
    assert found.cause_id == "gpu-memory"
    assert found.evidence[0].startswith("(Worker_TP1) torch.OutOfMemoryError: CUDA out of memory.")


def test_decode_lines_reads_what_is_left_of_a_truncated_gzip_file() -> None:
    noise = random.Random(1).randbytes(100_000).hex().encode()
    compressed = gzip.compress(LOG + noise)
    assert diagnose_file(compressed[: len(compressed) // 2]).cause_id == "gpu-memory"


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, bytes(range(128, 256)) * 9]
)
def test_decode_lines_refuses_a_binary_file(content: bytes) -> None:
    with pytest.raises(Refused, match=r"'server\.log' is not a log: it does not contain text"):
        diagnose_file(content)


@pytest.mark.parametrize(
    ("content", "tool"), [(b"\x28\xb5\x2f\xfd...", "zstd -d"), (b"PK\x03\x04...", "unzip")]
)
def test_decode_lines_names_the_tool_for_an_unsupported_compression(content: bytes, tool: str) -> None:
    with pytest.raises(Refused) as refused:
        diagnose_file(content)
    assert refused.value.fix.startswith(f"{tool} server.log")


def test_diagnose_reports_an_empty_log() -> None:
    assert diagnose_file(b"").cause == "the log is empty"


def test_decode_lines_reads_a_line_without_end_in_bounded_memory() -> None:
    content = b'] ("Error: pid=1 ' * 500_000
    tracemalloc.start()
    diagnose_file(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_decode_lines_reads_a_line_without_end_in_pieces() -> None:
    content = b"x" * 300_000 + b"\n\xff\xfe not text\n" + LOG
    lines = list(decode_lines(io.BufferedReader(io.BytesIO(content)), "server.log"))
    assert max(len(line) for line in lines) <= 1 << 16
    assert diagnose(DiagnosisInput(lines)).cause_id == "gpu-memory"


def test_decode_lines_reads_utf_16_without_a_mark_although_it_has_a_banner(tmp_path: Path) -> None:
    text = "(APIServer pid=1) INFO  █▄█▀ █  version 0.26.0\n" * 3
    path = tmp_path / "x.log"
    path.write_bytes(text.encode("utf-16-le"))
    with path.open("rb") as file:
        assert "".join(decode_lines(file, "x.log")) == text
