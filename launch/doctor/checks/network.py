"""The clock, proxies and CA bundles: wrong ones look like something else entirely."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, ok, warning
from launch.doctor.thresholds import thresholds

FIRST_DAY = datetime.datetime(
    2026, 11, 1, tzinfo=datetime.UTC
).timestamp()  # no clock is right that is before us


def clock(facts: Facts) -> Iterator[Finding]:
    """Certificates and signed downloads fail where the time is wrong."""
    skew, now = facts.hub.skew, datetime.datetime.fromtimestamp(facts.clock, datetime.UTC)
    seen = f"{now:%Y-%m-%d %H:%M} UTC"
    why = "certificates and signed download addresses are refused"
    if skew is not None and abs(skew) > thresholds().clock_skew_seconds.value:
        yield error(
            "clock",
            f"{seen}, {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the Hub",
            why,
            "sudo timedatectl set-ntp true",
        )
    elif facts.clock < FIRST_DAY:
        yield error("clock", f"{seen} is in the past", why, "sudo timedatectl set-ntp true")
    elif skew is not None:
        yield ok("clock", f"{seen}, within {max(1.0, abs(skew)):.0f} s of the Hub")
    else:
        yield ok("clock", f"{seen}, not compared: the Hub is not reached")


def proxies(facts: Facts) -> Iterator[Finding]:
    """A proxy must not stand between us and our own server."""
    network = facts.network
    for name, url in network.proxies:
        if url == "?":
            yield error(
                "proxy",
                f"{name} is no address",
                "every request fails",
                f"unset {name}, or give it as http://host:port",
            )
    if not network.proxies:
        yield ok("proxy", "none")
        return
    listed = {word.strip() for word in network.no_proxy.split(",")}
    if listed & {"127.0.0.1", "localhost", "*", "127.0.0.0/8"}:
        yield ok("proxy", ", ".join(f"{name}={url}" for name, url in network.proxies))
    else:
        yield warning(
            "proxy",
            f"no_proxy does not name 127.0.0.1 ({network.proxies[0][0]} is set)",
            "clients on this machine would ask the proxy for the server",
            "export no_proxy=localhost,127.0.0.1",
        )


def certificates(facts: Facts) -> Iterator[Finding]:
    """A CA bundle that is named must be readable."""
    for bundle in facts.network.certificates:
        if bundle.problem:
            yield error(
                "certificates",
                f"{bundle.name}={bundle.path}: {bundle.problem}",
                "no TLS connection can be made",
                f"unset {bundle.name}, or name a PEM file",
            )
        else:
            yield ok("certificates", f"{bundle.name}={bundle.path}")


def unanswered(facts: Facts) -> Iterator[Finding]:
    """A driver that hangs is said, since the GPUs were judged without it."""
    for name in facts.unanswered:
        why = "a driver hangs, and a launch would hang with it"
        yield error(name, "no answer in time", why, "sudo dmesg | tail -50  # then reboot")


CHECKS = (clock, proxies, certificates, unanswered)
