"""What changed between two sets of runs: image, vLLM, driver, options, layout, clocks, weights, hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from launch.bench.record import Host, HostReading, Record, Server

NOT_RECORDED = "-"
# Relative. The clocks of a GPU and of a CPU differ by some MHz between two readings of an idle host.
CLOCK_TOLERANCE = {"GPU clock": 0.02, "GPU memory clock": 0.02, "CPU clock": 0.1}
OTHERS_TOLERANCE = 0.1  # of the CPUs of a host


@dataclass(frozen=True)
class Change:
    """A fact that differs. A side whose runs differ among themselves has several values, joined by commas."""

    name: str
    old: str
    new: str


def changes(old: Sequence[Record], new: Sequence[Record]) -> tuple[Change, ...]:
    """Return the facts in which two sides differ."""
    facts_old, facts_new = [facts(run) for run in old], [facts(run) for run in new]
    names = dict.fromkeys(name for one in (*facts_old, *facts_new) for name in one)
    found = (Change(name, _values(facts_old, name), _values(facts_new, name)) for name in names)
    return (*(one for one in found if _differs(one)), *_other_programs(old, new))


def facts(run: Record) -> dict[str, str]:
    """Return everything that may change a measurement, by name, except the workload itself."""
    found = {**_software(run.server), **_hardware(run.host), **_server(run.server), "Slipway": run.slipway}
    return {name: value for name, value in found.items() if value}


def hardware(run: Record) -> str:
    """Return the hardware of a server, for example `4 x h20`."""
    return hardware_text(run.host.hardware, run.host.count)


def hardware_text(name: str, count: int) -> str:
    """Return hardware as comparisons name it."""
    return f"{count} x {name or 'unknown'}"


def image(run: Record) -> str:
    """Return what identifies the image: its digest, else its id, else its name."""
    return run.server.image_digest or run.server.image_id or run.server.image


def options(argv: Sequence[str]) -> dict[str, str]:
    """Return the options of a command by name, each with its values; an option without a value is `yes`."""
    found: dict[str, list[str]] = {}
    name = "command"
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found.setdefault(name, []).extend([value] if equals else [])
        else:
            found.setdefault(name, []).append(word)
    return {name: " ".join(values) or "yes" for name, values in found.items()}


def _software(server: Server) -> dict[str, str]:
    return {
        "image": server.image_digest or server.image_id or server.image,
        "vLLM": server.vllm,
        "vLLM commit": server.vllm_commit,
        "weights commit": server.weights_commit,
        "recipe": server.recipe,
    }


def _hardware(host: Host) -> dict[str, str]:
    return {
        "host": host.name,
        "hardware": f"{host.count} x {host.hardware}" if host.hardware else "",
        "driver": host.driver,
        "kernel": host.kernel,
        "CPU": host.cpu,
        "CPU threads": _amount(host.cpu_threads),
        "memory of the host": _amount(host.memory_bytes),
        **_clocks(host.before, host.after),
        "GPU throttling": _throttling(host),
    }


def _clocks(before: HostReading, after: HostReading) -> dict[str, str]:
    """Return clocks and limits; of two readings of a clock the higher one, because an idle GPU lowers its clock."""
    gpus = (*before.gpus, *after.gpus)
    return {
        "GPU clock": _highest((gpu.clock_mhz for gpu in gpus), "MHz"),
        "GPU memory clock": _highest((gpu.memory_clock_mhz for gpu in gpus), "MHz"),
        "GPU power limit": _highest((gpu.power_limit_w for gpu in gpus), "W"),
        "CPU clock": _highest((before.cpu_mhz, after.cpu_mhz), "MHz"),
        "CPU governor": before.cpu_governor,
    }


def _throttling(host: Host) -> str:
    readings = (host.before, host.during, host.after)
    return " ".join(sorted({reason for one in readings for gpu in one.gpus for reason in gpu.throttle}))


def _highest(values: Iterable[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):g} {unit}" if known else ""


def _server(server: Server) -> dict[str, str]:
    container = server.container
    return {
        "strategy": server.strategy,
        **{f"layout {name}": str(size) for name, size in server.layout.items()},
        **{f"option {name}": value for name, value in options(server.argv).items()},
        **{f"environment {name}": value for name, value in server.env.items()},
        "memory of the container": _amount(container.memory_bytes),
        "CPUs of the container": _amount(container.cpus),
        "CPU set of the container": container.cpuset,
        "shared memory of the container": _amount(container.shm_bytes),
        "GPUs of the container": " ".join(container.gpus),
        "KV cache tokens": _amount(server.kv_cache_tokens),
    }


def _other_programs(old: Sequence[Record], new: Sequence[Record]) -> tuple[Change, ...]:
    """Return how many CPUs other programs used, if that differs by more than OTHERS_TOLERANCE of all CPUs."""
    used = [[run.host.others_cpus for run in side if run.host.others_cpus is not None] for side in (old, new)]
    if not all(used):
        return ()
    before, now = map(fmean, used)
    cpus = max(run.host.cpu_threads for run in (*old, *new)) or 1
    if abs(before - now) <= OTHERS_TOLERANCE * cpus:
        return ()
    return (Change("CPUs used by other programs", f"{before:.1f}", f"{now:.1f}"),)


def _amount(value: float | None) -> str:
    """Return a number, or "" if it is not recorded or not limited."""
    return "" if not value else str(value) if isinstance(value, int) else f"{value:g}"


def _values(side: Iterable[Mapping[str, str]], name: str) -> str:
    return ", ".join(dict.fromkeys(one.get(name) or NOT_RECORDED for one in side))


def _differs(change: Change) -> bool:
    tolerance = CLOCK_TOLERANCE.get(change.name)
    return change.old != change.new and not (tolerance and _close(change, tolerance))


def _close(change: Change, tolerance: float) -> bool:
    """Return whether all values of two sides, such as `1980 MHz`, are nearly the same number."""
    try:
        numbers = [float(text.split()[0]) for text in f"{change.old}, {change.new}".split(", ")]
    except ValueError:  # a side has no reading
        return False
    return max(numbers) - min(numbers) <= tolerance * max(numbers)
