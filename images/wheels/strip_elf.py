"""Cut from shared libraries what the loader never reads (debug sections, symbol tables). Runs inside a build.

vLLM's CPU kernels have 177 MB of debug information in a file of 214 MB; libtorch_cpu.so has 89 MB of symbols
(vLLM 0.32.0, torch 2.13.0). The loader follows program headers: everything after the last segment, including the
section headers, is for debuggers. The base image has no `strip` program.
This script must not import Slipway, which is not in the image.
"""

import os
import struct
import sys
from pathlib import Path

_HEADER = "<16sHHIQQQIHHHHHH"  # Elf64_Ehdr, little endian
_SEGMENT = "<IIQQQQQQ"  # Elf64_Phdr
_SMALLEST = 1 << 20  # bytes; smaller files save too little


def end_of_segments(data: bytes) -> int | None:
    """Return the end of the last segment, or None if the file is not 64-bit little-endian ELF."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    header = struct.unpack_from(_HEADER, data)
    offset, size, count = header[5], header[9], header[10]
    ends = [offset + size * count]
    for number in range(count):
        segment = struct.unpack_from(_SEGMENT, data, offset + number * size)
        ends.append(segment[2] + segment[5])  # p_offset + p_filesz
    return int(max(ends))


def strip(path: Path) -> int:
    """Cut the file after its last segment; return the number of bytes saved."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        head = file.read(1 << 16)
        end = end_of_segments(head)
        if not end or end >= size:
            return 0
        header = list(struct.unpack_from(_HEADER, head))
        header[6] = header[12] = header[13] = 0  # offset, count and name index of the section headers
        file.seek(0)
        file.write(struct.pack(_HEADER, *header))
        file.truncate(end)
    return size - end


def main(folder: str) -> None:
    """Strip every shared library below the folder."""
    libraries = [p for p in Path(folder).rglob("*.so*") if p.is_file() and not p.is_symlink()]
    saved = sum(strip(path) for path in libraries if path.stat().st_size >= _SMALLEST)
    print(f"stripped {saved // 1_000_000} MB of symbols and debug information")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.curdir)
