from __future__ import annotations

import socket

from launch.http import happy_eyeballs


def test_families_take_turns() -> None:
    six = [(int(socket.AF_INET6), 1, 6, (f"::{number}", 1)) for number in range(3)]
    four = [(int(socket.AF_INET), 1, 6, (f"10.0.0.{number}", 1)) for number in range(2)]
    assert happy_eyeballs.interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert happy_eyeballs.interleaved([]) == []
