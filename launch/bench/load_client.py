"""Run `vllm bench serve` in the container of a server and read its result.

Its exit status is 0 even if every request failed, so the result is judged, and not the status.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from errors import Failed
from launch.bench.result import UnusableResult, last_line
from launch.bench.target import Target

_READS = 3
_PROGRESS = re.compile(r"(\d+)/(\d+) \[")  # tqdm
_UNKNOWN_OPTION = re.compile(r"unrecognized arguments|ambiguous option")
_USAGE_ERROR = 2  # exit status of argparse


@dataclass(frozen=True)
class LoadClient:
    """One load. `progressed` gets the number of finished requests, `started` the process id of the client.

    `file` is the result's in the container.
    """

    target: Target
    requests: int
    file: str
    progressed: Callable[[int], None]
    started: Callable[[int], None]

    def run(self, argv: tuple[str, ...], spelled_out: tuple[str, ...]) -> tuple[str, ...]:
        """Load the server and return the command that did. Raises Failed.

        `spelled_out` is the same command for a vLLM that does not know a shortened option.
        """
        status, output = self._execute(argv)
        if status == _USAGE_ERROR and _UNKNOWN_OPTION.search(output) and spelled_out != argv:
            argv = spelled_out
            status, output = self._execute(argv)
        if status:
            why = last_line(output) or "it printed nothing"
            raise Failed(f"vllm bench serve exited with {status}", why=why, fix="invoke logs")
        return argv

    def _execute(self, argv: tuple[str, ...]) -> tuple[int, str]:
        return self.target.instance.run_attached(argv, self._line, f"{self.file}.pid", self.started)

    def end(self) -> None:
        """End the load. Raises Failed if the engine does not answer."""
        self.target.instance.run(["sh", "-c", f"kill $(cat {self.file}.pid)"])

    def _line(self, line: str) -> None:
        match = _PROGRESS.search(line)
        if match and int(match[2]) == self.requests:  # not another bar, for example that of a download
            self.progressed(int(match[1]))

    def result(self) -> str:
        """Return the text of the result. Raises Failed.

        It is read again if it is empty: an engine may lose the output of a command that ends at once.
        """
        run = self.target.instance.run
        for _ in range(_READS):
            status, text = run(["cat", self.file])
            if status:
                raise UnusableResult("vllm bench serve saved no result", why=text[:200], fix="invoke logs")
            if text.strip():
                run(["rm", "-f", self.file, f"{self.file}.pid"])
                return text
        raise UnusableResult("vllm bench serve saved an empty result", fix="invoke bench")


def saving(argv: tuple[str, ...], seed: int, port: int, file: str) -> tuple[str, ...]:
    """Return a command with its seed, and with what does not change the load: the server's port and what to save."""
    folder, _, name = file.rpartition("/")
    return (
        *(*argv, "--seed", str(seed), "--port", str(port)),
        *("--save-result", "--save-detailed", "--result-dir", folder, "--result-filename", name),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "90,95,99"),
        # vLLM 0.11 else sends the first prompt twice, and reads it from its cache the second time.
        *("--ready-check-timeout-sec", "0"),
    )
