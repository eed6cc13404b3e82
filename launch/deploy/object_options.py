"""What a user may ask of the objects of `invoke deploy`: each field is one option."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from errors import Refused
from launch.spec.option import option

CLUSTER, WEIGHTS, NETWORK, SCHEDULING = "Cluster", "Weights on the cluster", "Network", "Scheduling"
NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")
LABEL = re.compile(r"(?:[a-z0-9][-.a-z0-9]*/)?[A-Za-z0-9][-_.A-Za-z0-9]{0,62}")
EVERYBODY = "all"


def object_name(label: str, given: Any) -> str:
    """Return the name of an object. Raises Refused if Kubernetes does not accept it."""
    text = str(given)
    if not NAME.fullmatch(text):
        why = "a name has lower case letters, digits, '-' and '.'"
        raise Refused(f"{label} '{text[:60]}' is not a name of Kubernetes", why=why)
    return text


def node_label(label: str, given: Any) -> str:
    """Return the key of a label, or the name of a resource. Raises Refused."""
    text = str(given)
    if not LABEL.fullmatch(text):
        raise Refused(f"{label} '{text[:60]}' is not a label of nodes", fix=f"{label} topology.example/rack")
    return text


def storage_size(label: str, given: Any) -> str:
    """Return an amount of storage as Kubernetes writes it. Raises Refused."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}[MGT]i?", str(given)):
        raise Refused(f"{label} must be an amount such as 300Gi (got '{str(given)[:60]}')")
    return str(given)


def clients(label: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return namespaces and networks. Raises Refused for what is neither."""
    texts = tuple(str(text) for text in given)
    for text in texts:
        if "/" in text:
            _require_network(label, text)
        else:
            object_name(label, text)
    return texts


def _require_network(label: str, text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise Refused(f"{label} '{text[:60]}' is not a network", why=str(error)) from None


@dataclass(frozen=True)
class ObjectOptions:
    """Options of the objects around a server's pods."""

    storage_class: str = option(
        "",
        "class of the claim that is made for the weights (default: that of the cluster)",
        metavar="NAME",
        group=WEIGHTS,
        setting=True,
        parse=object_name,
    )
    storage_size: str = option(
        "",
        "size of that claim (default: the weights and a reserve)",
        metavar="AMOUNT",
        group=WEIGHTS,
        parse=storage_size,
    )
    prefetch: bool = option(False, "fetch the weights into the claim of --weights-claim too", group=WEIGHTS)
    hub: str = option(
        "",
        "fetch from this Hub in the cluster (default: HF_ENDPOINT, else the public Hub)",
        metavar="URL",
        group=WEIGHTS,
        setting=True,
    )
    hub_secret: str = option(
        "",
        "log in to the Hub with the key `token` of this Secret",
        metavar="NAME",
        group=WEIGHTS,
        setting=True,
        parse=object_name,
    )
    delete_weights: bool = option(
        False, "with --delete: remove the claim that Slipway made, and the weights in it", group=WEIGHTS
    )
    pull_secret: str = option(
        "",
        "pull the image with the login in this Secret",
        metavar="NAME",
        group=CLUSTER,
        setting=True,
        parse=object_name,
    )
    network_policy: str = option(
        "yes",
        "restrict the traffic of the pods",
        choices=("yes", "no"),
        group=NETWORK,
        setting=True,
    )
    allow_from: tuple[str, ...] = option(
        (),
        "namespace or network that may use the API, or all (default: the server's namespace)",
        metavar="NAMESPACE|CIDR",
        group=NETWORK,
        parse=clients,
    )
    monitoring: str = option(
        "auto",
        "make a ServiceMonitor; auto: if the cluster has that kind",
        choices=("auto", "yes", "no"),
        group=NETWORK,
        setting=True,
    )
    scheduler: str = option(
        "",
        "scheduler of the pods (default: that of the cluster)",
        metavar="NAME",
        group=SCHEDULING,
        setting=True,
        parse=object_name,
    )
    queue: str = option(
        "",
        "queue of Kueue, or of the scheduler volcano or kai-scheduler",
        metavar="NAME",
        group=SCHEDULING,
        setting=True,
        parse=object_name,
    )
    topology: str = option(
        "",
        "label of nodes; each group gets the nodes of one value for itself",
        metavar="LABEL",
        group=SCHEDULING,
        parse=node_label,
    )
    rdma_resource: str = option(
        "",
        "resource of the RDMA adapters for --access rdma (default: the one that the nodes offer)",
        metavar="NAME",
        group=SCHEDULING,
        parse=node_label,
    )
