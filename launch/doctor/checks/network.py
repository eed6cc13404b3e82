"""Check the clock, proxies and CA bundles, whose faults look like other failures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, ok, warning
from launch.doctor.thresholds import thresholds

EARLIEST = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC).timestamp()  # this code is not older
_LOOPBACK = {"127.0.0.1", "localhost", "*", "127.0.0.0/8"}


def clock(facts: Facts) -> Iterator[Finding]:
    """Check the clock, on which certificates and signed downloads depend."""
    skew, now = facts.hub.clock_skew, datetime.datetime.fromtimestamp(facts.clock, datetime.UTC)
    what, fix = f"{now:%Y-%m-%d %H:%M} UTC", "sudo timedatectl set-ntp true"
    why = "certificates and signed download addresses are rejected"
    if skew is not None and abs(skew) > thresholds().clock_skew_seconds.value:
        direction = "ahead of" if skew > 0 else "behind"
        yield error("clock", f"{what}, {abs(skew):.0f} s {direction} the Hub", why, fix)
    elif facts.clock < EARLIEST:
        yield error("clock", f"{what} is in the past", why, fix)
    elif skew is not None:
        yield ok("clock", f"{what}, within {max(1.0, abs(skew)):.0f} s of the Hub")
    else:
        yield ok("clock", f"{what}, not compared: the Hub cannot be reached")


def proxies(facts: Facts) -> Iterator[Finding]:
    """Check that clients on this host do not reach the server through a proxy."""
    network = facts.network
    for name, url in network.proxies:
        if url == "?":
            fix = f"unset {name}, or write it as http://host:port"
            yield error("proxy", f"{name} is not a valid address", "every request fails", fix)
    if not network.proxies:
        yield ok("proxy", "no proxy")
        return
    excepted = {item.strip() for item in network.no_proxy.split(",")}
    if excepted & _LOOPBACK:
        yield ok("proxy", ", ".join(f"{name}={url}" for name, url in network.proxies))
    else:
        yield warning(
            "proxy",
            f"no_proxy does not contain 127.0.0.1 ({network.proxies[0][0]} is set)",
            "clients on this host would send their requests to the proxy",
            "export no_proxy=localhost,127.0.0.1",
        )


def certificates(facts: Facts) -> Iterator[Finding]:
    """Check that CA bundles in the environment are usable."""
    for bundle in facts.network.certificates:
        what = f"{bundle.name}={bundle.path}"
        if bundle.problem:
            fix = f"unset {bundle.name}, or set it to a PEM file"
            yield error("certificates", f"{what}: {bundle.problem}", "no TLS connection is possible", fix)
        else:
            yield ok("certificates", what)


def timed_out(facts: Facts) -> Iterator[Finding]:
    """Report drivers that hang, because the GPUs were checked without them."""
    for name in facts.timed_out:
        why = "a driver hangs, and a launch would hang too"
        yield error(name, "no answer in time", why, "sudo dmesg | tail -50  # then reboot")


CHECKS = (clock, proxies, certificates, timed_out)
