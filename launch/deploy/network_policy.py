"""Which traffic the pods of a server may have, and those that fetch its weights. Pure.

Only clusters whose network enforces NetworkPolicies restrict anything. The kubelet of a pod's node may always reach it.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from launch.deploy.client import Object
from launch.deploy.object_labels import fetch_labels, own_labels, server_pods
from launch.deploy.object_options import EVERYBODY

DNS = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
# The metadata services of clouds, which give credentials of the node to everybody who asks.
LINK_LOCAL = {"0.0.0.0/0": ["169.254.0.0/16"], "::/0": ["fe80::/10", "fd00:ec2::254/128"]}
NAMESPACE = "kubernetes.io/metadata.name"  # a label that every namespace has since Kubernetes 1.22


def server_policy(workload: Object, ports: list[int], allowed: tuple[str, ...]) -> Object:
    """Return the policy of a server's pods: the API for these clients, everything among the pods, and DNS."""
    name = workload["metadata"]["name"]
    group = [{"podSelector": server_pods(name)}]
    spec = {
        "podSelector": server_pods(name),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{**_clients(allowed), "ports": [_tcp(port) for port in ports]}, {"from": group}],
        "egress": [{"to": group}, {"ports": DNS}],
    }
    return _policy(name, name, spec)


def fetch_policy(workload: Object, endpoint: str) -> Object:
    """Return the policy of the pods that fetch: DNS and the Hub, and nothing reaches them.

    A policy cannot name a host, and a Hub sends files from others, so every address may be asked at the Hub's port.
    """
    name = workload["metadata"]["name"]
    url = urlsplit(endpoint)
    port = url.port or (80 if url.scheme == "http" else 443)
    spec = {
        "podSelector": {"matchLabels": fetch_labels(name)},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"ports": DNS}, {"to": _hub(url.hostname or ""), "ports": [_tcp(port)]}],
    }
    return _policy(f"{name}-fetch", name, spec)


def _clients(allowed: tuple[str, ...]) -> dict[str, Any]:
    """Return who may use the API; everybody is an empty value."""
    if EVERYBODY in allowed:
        return {}
    own: list[dict[str, Any]] = [{"podSelector": {}}]
    return {"from": own + [_client(text) for text in allowed]}


def _client(text: str) -> dict[str, Any]:
    if "/" in text:
        return {"ipBlock": {"cidr": str(ipaddress.ip_network(text))}}
    return {"namespaceSelector": {"matchLabels": {NAMESPACE: text}}}


def _hub(host: str) -> list[dict[str, Any]]:
    try:
        return [{"ipBlock": {"cidr": str(ipaddress.ip_network(host))}}]
    except ValueError:
        return [{"ipBlock": {"cidr": cidr, "except": without}} for cidr, without in LINK_LOCAL.items()]


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


def _policy(own: str, server: str, spec: dict[str, Any]) -> Object:
    meta = {"name": own, "labels": own_labels(server)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }
