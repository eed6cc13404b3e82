"""The record of one measured run: one JSON line that says what was measured, on what, and whether to trust it.

The JSON schema of `Record` is published in docs/reference. A change that an older reader would misread raises SCHEMA;
a new field with a default does not.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA = 1

Status = Literal["complete", "interrupted", "failed"]
Outcome = Literal["good", "remarks", "void"]
Energy = dict[str, float]  # joules by source, for example {"gpu": 812.5}


class Part(BaseModel):
    """A part of a record. Fields that this Slipway does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, ser_json_inf_nan="null")


class Remark(Part):
    """What one rule found. `outcome` is `remarks` or `void`."""

    rule: str
    outcome: Outcome
    sentence: str


class Validity(Part):
    """Whether the figures can be trusted: the worst outcome of all rules, and every remark."""

    outcome: Outcome = "good"
    remarks: tuple[Remark, ...] = ()


class Load(Part):
    """What the client sent. None: not limited, not set, or not part of this kind of load.

    Lengths are tokens, `request_rate` is requests per second. `prefix_len` tokens of a prompt are shared by the
    requests of one of `prefixes` groups.
    """

    dataset: str = ""
    backend: str = ""
    endpoint: str = ""
    input_len: int | None = None
    output_len: int | None = None
    prefix_len: int | None = None
    prefixes: int | None = None
    requests: int = 0
    concurrency: int | None = None
    request_rate: float | None = None
    warmup_requests: int = 0


class Sampling(Part):
    """How tokens were chosen. `temperature` None: the server's own default for the model."""

    temperature: float | None = None
    ignore_eos: bool = False
    options: dict[str, str] = {}  # all other sampling options of the command


class Container(Part):
    """Limits of the server's container, as the engine reports them. 0 and "" mean not limited."""

    memory_bytes: int = 0
    cpus: float = 0
    cpuset: str = ""
    shm_bytes: int = 0
    pids: int = 0
    gpus: tuple[str, ...] = ()


class ClusterPlace(Part):
    """Where a server of a cluster runs. The load ran inside its pod; all else went over a port-forward."""

    host: str = ""  # the address of the API server
    namespace: str = ""
    pod: str = ""
    node: str = ""
    load: str = "inside the pod"
    requests: str = "port-forward"  # warm-up, questions and counters


class Server(Part):
    """The server that was measured. `start_id` changes with every start of its container."""

    name: str
    start_id: str
    model: str
    weights_commit: str = ""
    recipe: str = ""  # SHA-256 of the recipe; "" if not known
    plan: str = ""  # the digest of the plan
    strategy: str = ""
    layout: dict[str, int] = {}  # tp, pp, dp, ep
    image: str = ""
    image_name: str = ""
    image_id: str = ""
    image_digest: str = ""
    channel: str = ""
    vllm: str = ""
    vllm_commit: str = ""
    argv: tuple[str, ...] = ()
    env: dict[str, str] = {}  # without secrets
    container: Container = Container()
    kv_cache_tokens: int | None = None
    start_seconds: dict[str, float] = {}  # by phase of the start
    cluster: ClusterPlace | None = None  # None: a container of the host


class GpuReading(Part):
    """The state of one GPU at one moment. None: the driver does not report it."""

    name: str = ""
    clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    throttle: tuple[str, ...] = ()  # reasons


class HostReading(Part):
    """The state of the host at one moment."""

    load_average: float | None = None  # of one minute
    cpu_mhz: float | None = None  # mean over the CPUs
    cpu_governor: str = ""
    gpus: tuple[GpuReading, ...] = ()


class Host(Part):
    """The host. `hardware` is an id of the GPU catalog, or the name of the CPU if the server uses no GPU."""

    name: str = ""
    hardware: str = ""
    count: int = 0  # GPUs of the server, or CPU threads that it may use
    driver: str = ""
    kernel: str = ""
    cpu: str = ""
    cpu_threads: int = 0
    memory_bytes: int = 0
    before: HostReading = HostReading()
    during: HostReading = HostReading()  # the worst value of each kind, from readings during the run
    after: HostReading = HostReading()
    others_cpus: float | None = None  # CPUs that programs other than this server used, on average
    steal: float | None = None  # share of the CPU time that the hypervisor gave to other guests
    neighbours: tuple[str, ...] = ()  # other benchmarks on this host at the same time
    client_cpus: float | None = None  # CPUs that the client used, on average
    energy_joules: Energy | None = None
    energy_reason: str = ""  # why energy_joules is null
    observed: bool = True  # False: a node, of whose other programs and clocks nothing was read


class Metrics(Part):
    """Differences of the server's own counters over the measured run, summed over its engines. None: no counter."""

    generation_tokens: int | None = None
    prompt_tokens: int | None = None
    prefix_queries: int | None = None  # tokens
    prefix_hits: int | None = None  # tokens
    preemptions: int | None = None
    ttft_mean_s: float | None = None
    e2e_mean_s: float | None = None
    running_before: int | None = None
    waiting_before: int | None = None


class Record(Part):
    """One measured run. `group` joins the repeats of one `invoke bench`; `repeat` counts from 1."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: str
    group: str
    repeat: int = 1
    repeats: int = 1
    time: str  # UTC, ISO 8601, at the start of the measured run
    status: Status
    preset: str
    preset_source: str = ""
    scale: float = 1.0
    argv: tuple[str, ...]
    seed: int | None = None
    load: Load
    sampling: Sampling = Sampling()
    validity: Validity = Validity()
    finished_requests: int | None = None  # what an interrupted run had finished, as its output showed it
    result: dict[str, JsonValue] = {}  # vLLM's result without the values of each request
    requests_file: str = ""  # gzip, in the same folder: the values of each request, without texts
    metrics: Metrics = Metrics()
    latency_from_schedule_ms: dict[str, float] = {}  # open loop only: mean, median, p99
    server: Server
    host: Host = Host()
    slipway: str = ""  # version


def json_line(record: Record) -> str:
    """Return a record as one line of JSON, without a line break."""
    return record.model_dump_json(by_alias=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a record."""
    return Record.model_json_schema(by_alias=True)
