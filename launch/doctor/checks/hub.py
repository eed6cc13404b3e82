"""Check the Hub: the token, access to the model, the cache and its disk space."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, error, info, ok, warning
from launch.doctor.thresholds import thresholds
from launch.weights.progress import gb


def reached(facts: Facts) -> Iterator[Finding]:
    """Check that the Hub answers; otherwise only cached models can be served."""
    hub = facts.hub
    if hub.reached:
        yield ok("hub", f"{hub.endpoint} answers")
    else:
        yield info(
            "hub",
            f"{hub.endpoint} cannot be reached: {hub.error or 'no answer in time'}",
            "cached models can be served; nothing can be fetched",
            "check the network and the proxy, or set HF_ENDPOINT",
        )


def token(facts: Facts) -> Iterator[Finding]:
    """Check that the token is valid, and that other users cannot read it."""
    hub = facts.hub
    if hub.token_malformed:
        what = f"the content of {hub.token_source} is not a valid token"
        yield error("hub token", what, "every download fails, also of public models", "invoke login")
    elif hub.token_rejected:
        what = f"{hub.endpoint} rejects the token of {hub.token_source}"
        yield error("hub token", what, "every download fails, also of public models", "invoke login")
    elif hub.token_source and hub.user:
        yield ok("hub token", f"{hub.user} ({hub.token_source})")
    elif hub.token_source:
        yield ok("hub token", f"{hub.token_source}, not verified: the Hub cannot be reached")
    else:
        yield info(
            "hub token", "no token", "public models need no token; gated models need one", "invoke login"
        )
    if hub.token_mode is not None and hub.token_mode & 0o077:
        yield warning(
            "hub token",
            f"other users can read {hub.token_source} (mode {hub.token_mode:04o})",
            "a user who reads it has access to your Hub account",
            f"chmod 600 {hub.token_source}",
            auto_fix="token-mode",
        )


def licence(facts: Facts) -> Iterator[Finding]:
    """Check that the licence of the model is accepted, if it requires that."""
    hub = facts.hub
    if hub.licence == "missing":
        yield error(
            "licence",
            f"{hub.model} is gated and this user has no access",
            "its files cannot be downloaded",
            f"accept the licence on {hub.endpoint}/{hub.model}, then: invoke login",
        )
    elif hub.licence == "unknown model":
        yield error(
            "licence",
            f"{hub.model} does not exist on {hub.endpoint}",
            "a private model needs the token of its owner",
            "check the name, or: invoke login",
        )
    elif hub.licence:
        yield ok("licence", f"{hub.model}: {hub.licence}")


def cache(facts: Facts) -> Iterator[Finding]:
    """Check that this user owns the cache and can write to it."""
    hub = facts.hub
    if hub.cache_file:
        why = f"{hub.cache} must be a folder"
        yield error("hub cache", f"{hub.cache_file} is a file", why, "export HF_HUB_CACHE=DIR")
    elif not hub.cache_writable:
        yield error(
            "hub cache",
            f"{hub.cache} belongs to {hub.cache_owner or 'another user'}",
            f"{facts.user} cannot write weights there",
            f"sudo chown -R {facts.user} {hub.cache}, or: export HF_HUB_CACHE=DIR",
        )
    elif hub.foreign_entries:
        yield warning(
            "hub cache",
            f"{hub.foreign_entries} entries of {hub.cache} belong to another user",
            "a fetch into them fails half way",
            f"sudo chown -R {facts.user} {hub.cache}",
        )
    elif not hub.cache_present:
        yield info(
            "hub cache",
            f"{hub.cache} does not exist yet",
            "the first fetch creates it",
            auto_fix="cache-folder",
        )
    else:
        yield ok("hub cache", f"{hub.cache}, owned by {facts.user}")


def disk_space(facts: Facts) -> Iterator[Finding]:
    """Check the disk space for the weights that are still to be fetched."""
    hub, spare = facts.hub, thresholds().spare_disk_bytes.value
    if hub.cache_free is None:
        return
    if hub.to_fetch and hub.to_fetch + spare > hub.cache_free:
        yield error(
            "weights",
            f"{gb(hub.to_fetch)} to fetch, {gb(hub.cache_free)} free",
            "invoke fetch would refuse to start",
            "free disk space, or: export HF_HUB_CACHE=DIR on another disk",
        )
    elif hub.to_fetch:
        yield ok("weights", f"{gb(hub.to_fetch)} to fetch, {gb(hub.cache_free)} free")
    elif hub.to_fetch == 0:
        yield ok("weights", f"{hub.model} is in the cache")
    else:
        yield ok("weights", f"{gb(hub.cache_free)} free in {hub.cache}")


CHECKS = (reached, token, licence, cache, disk_space)
