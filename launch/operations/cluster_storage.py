"""Decide where a cluster gets the weights of a plan from, and list their files."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from errors import Failed, Refused
from launch.access.profiles import HUB
from launch.deploy.object_options import ObjectOptions
from launch.deploy.storage import Storage
from launch.http.retry import RetryPolicy
from launch.http.url import public
from launch.operations.demo_model import MODEL, endpoint_for
from launch.operations.locked_models import wanted_weights
from launch.operations.weights_place import WeightsPlace
from launch.render.cluster_settings import WEIGHTS
from launch.render.pod import name_of
from launch.spec.plan import Plan
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.manifest import Entry, Manifest
from launch.weights.sources.hub import Hub, endpoint_of

ATTEMPTS = 3  # to list files, within a few seconds if the host has no network
PUBLIC_FIX = "--hub URL of a Hub that the pods can reach, or --weights-claim NAME with the weights"


def storage_of(
    plan: Plan, place: WeightsPlace, options: ObjectOptions, exists: Callable[[str], bool]
) -> Storage | None:
    """Return the claim of a plan, and what is fetched into it; None if its pods have none.

    Without a named claim it is `slipway-weights`, if the namespace has that, else one that Slipway makes. Raises
    Refused for options that have no meaning then, and Failed if the list of files cannot be had.
    """
    none = place.path or not any(mount.target == HUB for mount in plan.container.mounts)
    claim = "" if none else place.claim or (WEIGHTS if exists(WEIGHTS) else "")
    _require_meaning(options, claim, bool(none), bool(place.claim))
    if none:
        return None
    if claim and not options.prefetch:
        return Storage(claim)
    endpoint = _endpoint(plan.model, options)
    return Storage(
        claim or f"{name_of(plan)}-weights",
        not claim,
        replace(listing(plan, place.lock, endpoint), source=public(endpoint)),
        endpoint,
        options.storage_class,
        options.storage_size,
        options.hub_secret,
    )


def _require_meaning(options: ObjectOptions, claim: str, none: bool, named: bool) -> None:
    """Raise Refused for an option about a claim that is not made, or about a fetch that is not done."""
    given = {"--storage-class": options.storage_class, "--storage-size": options.storage_size}
    flag = next((flag for flag, value in given.items() if value), "")
    if flag and (none or claim):
        why = "the pods have no claim" if none else f"the claim '{claim}' exists"
        raise Refused(
            f"{flag} is for a claim that Slipway makes", why=why, fix=f"leave out {flag}" + _or(named)
        )
    if options.prefetch and none:
        why = "the weights are in a folder of the nodes"
        raise Refused("--prefetch needs a claim", why=why, fix="leave out --prefetch")


def _or(named: bool) -> str:
    return " or --weights-claim" if named else ""


def _endpoint(model: str, options: ObjectOptions) -> str:
    """Return the Hub that pods ask. Raises Refused for one that they cannot reach."""
    with endpoint_for(model) as own:
        built_in = own is not None
    if built_in and not options.hub:
        why = f"the public Hub does not have {MODEL}"
        fix = "invoke serve-weights on a host that the pods reach, then --hub URL; or --weights-claim NAME"
        raise Refused("the cluster cannot fetch the built-in model", why=why, fix=fix)
    endpoint = endpoint_of(options.hub or None)
    url = urlsplit(endpoint)
    if url.username or url.password:
        why = "it would be written into an object of the cluster"
        raise Refused("the URL of the Hub has a password", why=why, fix="--hub-secret NAME")
    if _is_loopback(url.hostname or ""):
        what = f"pods cannot reach the Hub at {public(endpoint)}"
        raise Refused(what, why="it is an address of this host alone", fix=PUBLIC_FIX)
    return endpoint


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listing(plan: Plan, lock: str, endpoint: str) -> Manifest:
    """Return the files of a plan's weights: from the cache, or from a Hub. Raises Failed."""
    wanted = wanted_weights(plan.model, plan.commit or plan.revision, lock)
    try:
        found = _cached(plan.model, wanted.revision) or _listed(plan.model, wanted.revision, endpoint)
    except Failed as error:
        what = f"the files of {plan.model} are not known, which the cluster would fetch: {error.what}"
        raise Failed(
            what, why=error.why, fix="--weights-claim NAME with the weights; or check HF_ENDPOINT and --hub"
        ) from error
    fix = f"check HF_ENDPOINT and --hub; invoke pin --model {plan.model} pins other files"
    manifests.require_digest(found, wanted.digest, fix)
    return replace(found, entries=tuple(_as_listed(entry) for entry in found.entries))


def _cached(model: str, revision: str) -> Manifest | None:
    folder = ModelFolder(cache_folder(), model)
    commit = folder.commit(revision)
    return manifests.load(folder.manifest(commit)) if commit else None


def _listed(model: str, revision: str, endpoint: str) -> Manifest:
    """Ask the Hub of the cluster, which decides what is fetched; if this host cannot reach it, the Hub of this host."""
    policy = RetryPolicy(attempts=ATTEMPTS)
    with endpoint_for(model) as own:
        usual = endpoint_of(own)
        if endpoint != usual:
            with suppress(Failed):  # the user's own token is for the usual Hub
                return Hub(model, endpoint, policy, token="").manifest(revision)
        return Hub(model, usual, policy).manifest(revision)


def _as_listed(entry: Entry) -> Entry:
    """Return an entry without what this host verified, so that every host lists the same."""
    sha256 = entry.blob if len(entry.blob) == 64 else ""  # a SHA-256; SHA-1 has 40 digits
    return replace(entry, sha256=sha256, verified="", mtime_ns=0, inode=0, wanted=True)
