"""The Hub: who we are there, whether the model may be downloaded, and room for it."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.weights.progress import gb


def token(facts: Facts) -> Iterator[Finding]:
    """A token, where there is one, is valid and nobody else can read it."""
    hub = facts.hub
    if hub.token_broken:
        why = "no request can carry it: every download fails, of public models too"
        yield error("hub token", f"what {hub.token_from} holds is no token", why, "invoke login")
    elif hub.refused:
        yield error(
            "hub token",
            f"{hub.endpoint} refuses the token of {hub.token_from}",
            "every download with it fails, of public models too",
            "invoke login",
        )
    elif hub.token_from:
        who = (
            f"{hub.user} ({hub.token_from})"
            if hub.user
            else f"{hub.token_from}, not checked: the Hub is not reached"
        )
        yield ok("hub token", who)
    else:
        yield info("hub token", "none", "public models need none; gated ones do", "invoke login")
    if hub.token_mode is not None and hub.token_mode & 0o077:
        yield warning(
            "hub token",
            f"{hub.token_from} can be read by others (mode {hub.token_mode:04o})",
            "whoever reads it can act as you",
            f"chmod 600 {hub.token_from}",
            fix="token-mode",
        )


def licence(facts: Facts) -> Iterator[Finding]:
    """The model's licence was accepted where that is asked for."""
    hub = facts.hub
    if hub.licence == "missing":
        yield error(
            "licence",
            f"{hub.model} is gated and this user has no access",
            "its files cannot be downloaded",
            f"accept it on {hub.endpoint}/{hub.model}, then: invoke login",
        )
    elif hub.licence == "unknown model":
        yield error(
            "licence",
            f"{hub.endpoint} knows no {hub.model}",
            "a private model needs its owner's token",
            "check the name, or: invoke login",
        )
    elif hub.licence:
        yield ok("licence", f"{hub.model}: {hub.licence}")


def reached(facts: Facts) -> Iterator[Finding]:
    """The Hub answers; without it only what is cached can be served."""
    hub = facts.hub
    if hub.reached:
        yield ok("hub", f"{hub.endpoint} answers")
    else:
        yield info(
            "hub",
            f"{hub.endpoint} is not reached: {hub.error or 'no answer in time'}",
            "what is in the cache can be served; nothing new can be fetched",
            "check the network and the proxy, or set HF_ENDPOINT",
        )


def cache(facts: Facts) -> Iterator[Finding]:
    """The cache is this user's and can be written."""
    hub = facts.hub
    if hub.cache_file:
        why = f"{hub.cache} has to be a folder"
        yield error("hub cache", f"{hub.cache_file} is a file", why, "export HF_HUB_CACHE=DIR")
    elif not hub.cache_writable:
        yield error(
            "hub cache",
            f"{hub.cache} belongs to {hub.cache_owner or 'another user'}",
            f"{facts.user} cannot put weights there",
            f"sudo chown -R {facts.user} {hub.cache}, or: export HF_HUB_CACHE=DIR",
        )
    elif hub.strangers:
        yield warning(
            "hub cache",
            f"{hub.strangers} entries of {hub.cache} are another user's",
            "a fetch into them fails half way",
            f"sudo chown -R {facts.user} {hub.cache}",
        )
    elif not hub.cache_here:
        yield Finding(
            "hub cache",
            "info",
            f"{hub.cache} is not there yet",
            "the first fetch makes it",
            f"mkdir -p {hub.cache}",
            fix="cache-folder",
        )
    else:
        yield ok("hub cache", f"{hub.cache}, {facts.user}'s")


def room(facts: Facts) -> Iterator[Finding]:
    """Space for the weights that are still to come."""
    hub, spare = facts.hub, thresholds().spare_disk_bytes.value
    if hub.cache_free is None:
        return
    if hub.needed and hub.needed + spare > hub.cache_free:
        yield error(
            "weights",
            f"{gb(hub.needed)} to fetch, {gb(hub.cache_free)} free",
            "the fetch would be refused",
            "make room, or: export HF_HUB_CACHE=DIR on another disk",
        )
    elif hub.needed:
        yield ok("weights", f"{gb(hub.needed)} to fetch, {gb(hub.cache_free)} free")
    elif hub.needed == 0:
        yield ok("weights", f"{hub.model} is here")
    else:
        yield ok("weights", f"{gb(hub.cache_free)} free in {hub.cache}")


CHECKS = (reached, token, licence, cache, room)
