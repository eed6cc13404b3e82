"""`invoke bench --slo` and `--sweep`: points, answer and refusals, on a simulated server."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from commands.bench_users import UsersBench
from errors import Failed
from launch.bench.record import Host, Record
from launch.bench.run import Workload
from launch.bench.slo import parse_slo
from launch.bench.users_options import UsersOptions
from tests.invocation import invoke
from tests.unit.launch.bench.group_data import VOID
from tests.unit.launch.bench.records_data import record
from tests.unit.launch.bench.test_users import workload

SLO = parse_slo("ttft=2s,tpot=50ms")
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


class Simulated:
    """A server with 4 GPUs whose TTFT is 150 ms for each user."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def __call__(self, point: Workload) -> tuple[Record, bytes]:
        users = int(point.argv[point.argv.index("--max-concurrency") + 1])
        ttft = 0.15 * users
        rows: dict[str, list[Any]] = {
            "input_lens": [10] * 20, "output_lens": [11] * 20, "ttfts": [ttft] * 20, "itls": [[]] * 20,
            "latencies": [ttft + 0.2] * 20, "start_times": [0.0] * 20, "queue_times": [0.0] * 20,
            "errors": [""] * 20,
        }  # fmt: skip
        values: dict[str, Any] = {
            "id": f"run{users}", "host": Host(hardware="h20", cpu="EPYC", count=4),
            "result": {"completed": 20, "output_throughput": 100.0 * users}, **self.changes,
        }  # fmt: skip
        return record(**values), gzip.compress(json.dumps(rows).encode())


def bench(server: Simulated | None = None, **options: Any) -> UsersBench:
    return UsersBench(workload("chat"), UsersOptions(**options), server or Simulated())


def test_the_answer_is_a_sentence_below_the_points(capsys: pytest.CaptureFixture[str]) -> None:
    bench(slo=SLO).report("text")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "USERS",
        "TOK/S",
        "PER",
        "GPU",
        "TTFT",
        "TPOT",
        "WITHIN",
        "SLO",
        "VALIDITY",
        "RUN",
    ]
    assert lines[-2] == (
        "13 users at once, 1300 tok/s, 325 per GPU; at 14, TTFT p95 is 2.1 s, TPOT p95 is 20 ms"
    )
    assert [line.split()[0] for line in lines[1:-3]] == ["1", "2", "4", "8", "12", "13", "14", "16", "16"]
    assert "0% (missed)" in lines[-4]


def test_a_sweep_prints_its_points_and_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    bench(sweep=(1, 4, 16)).report("text")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["USERS", "1", "4", "16"]


def test_json_has_the_points_and_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    bench(slo=SLO).report("json")
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"]["users"], found["answer"]["first_miss"], found["answer"]["end"]) == (
        13,
        14,
        "found",
    )
    assert found["points"][0]["run"] == "run1"


def test_an_slo_that_one_user_misses_fails_with_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="not even one user is served within the SLO: TTFT p95 is 150 ms"):
        bench(slo=parse_slo("ttft=100ms")).report("text")
    assert capsys.readouterr().out.startswith("USERS")


def test_a_server_that_ends_leaves_the_points_before(capsys: pytest.CaptureFixture[str]) -> None:
    class Dies(Simulated):
        def __call__(self, point: Workload) -> tuple[Record, bytes]:
            self.changes = {"status": "interrupted"} if "8" in point.argv else {}
            return super().__call__(point)

    with pytest.raises(Failed, match="the run with 8 users cannot be used") as end:
        bench(Dies(), slo=SLO).report("text")
    assert end.value.fix == "invoke logs"
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["USERS", "1", "2", "4"]


def test_a_void_run_is_not_a_point() -> None:
    with pytest.raises(Failed, match="cannot be used") as end:
        bench(Simulated(validity=VOID), sweep=(1,)).report("text")
    assert end.value.why == "94 % of prompts were cached"


def test_on_a_cpu_there_is_no_figure_of_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    bench(Simulated(host=Host(hardware="EPYC", cpu="EPYC", count=8)), sweep=(1,)).report("text")
    assert "PER GPU" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--slo", "ttft=2"), "--slo 'ttft=2' is not valid"),
        (("--sweep", "1,4"), "--sweep must be concurrency= and up to 16 numbers from 1 to 1024 (got '1,4')"),
        (("--sweep", "concurrency=0"), "--sweep must be concurrency="),
        (("--sweep", "concurrency=1e9"), "--sweep must be concurrency="),
        (("--slo", "ttft=2s", "--budget", "0m"), "--budget must be a time such as 90s, 20m or 2h (got '0m')"),
        (("--slo", "ttft=2s", "--repeat", "3"), "--slo cannot be used with --repeat"),
        (("--sweep", "concurrency=1", "--against", "last"), "--sweep cannot be used with --against"),
    ],
)
def test_a_wrong_request_is_refused_before_an_engine_is_asked(options: tuple[str, ...], message: str) -> None:
    finished = invoke("bench", *options, **NO_ENGINE)
    assert finished.code == 2
    assert message in finished.err
    assert "Traceback" not in finished.err


def test_dry_run_shows_the_points_of_a_sweep() -> None:
    finished = invoke("bench", "--dry-run", "--sweep", "concurrency=1,4", **NO_ENGINE).ok()
    assert [line.split("--max-concurrency ")[1].split()[0] for line in finished.out.splitlines()] == [
        "1",
        "4",
    ]
