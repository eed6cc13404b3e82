"""A server on a cluster, reached through the API server: an answer to a question, the logs of its pods.

The API server passes requests on to a Service, which needs no open port. It takes the Authorization header for itself,
so a server with an API key is asked over a port-forward to one of its pods.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from errors import Failed, Refused
from launch.deploy.answers import Forbidden
from launch.deploy.client import Cluster, Object
from launch.deploy.port_forward import forwarded
from launch.deploy.start_reader import has_api
from launch.engine.env_file import API_KEY as KEY_VARIABLE
from launch.http.client import request
from launch.render.kubernetes import api_service_name
from launch.render.pod import API_KEY, SERVES_ON
from launch.serving import openai_client
from launch.serving.api_key import key_file, read_key
from launch.spec.plan import FIRST_PORT
from launch.spec.vllm_args import Draft, parse

SERVICE, FORWARD = "its Service", "a port-forward"


@dataclass(frozen=True)
class Reached:
    """A server at the end of a port-forward to one of its pods. `url` is an address on this host."""

    pod: Object
    url: str
    model: str
    key: str
    port: int

    @property
    def revision(self) -> str:
        """The commit of the weights that the server was started with; "" if none was given."""
        container = self.pod["spec"]["containers"][0]
        words = (*(container.get("command") or ()), *(container.get("args") or ()))
        found = Draft(parse(tuple(map(str, words)))).get("--revision")
        return found.value if found else ""


def ask(cluster: Cluster, name: str, question: str, max_tokens: int = 256) -> Iterator[openai_client.Delta]:
    """Yield the answer to a question piece by piece. Raises Failed if the server does not give one."""
    if way_to(cluster, name) == SERVICE:
        yield from _ask_service(cluster, name, question, max_tokens)
        return
    with reached(cluster, name) as to:
        yield from openai_client.ask(to.url, to.model, question, max_tokens=max_tokens, api_key=to.key)


def way_to(cluster: Cluster, name: str) -> str:
    """Return how the server can be asked. Raises Failed if it cannot.

    The API server cannot pass a key on, and a NetworkPolicy may keep it out of the pods. A port-forward enters a pod
    from its own node.
    """
    if _needs_key(_ready_pod(cluster, name)):
        return FORWARD
    try:
        _model_of_service(cluster, name)
    except Failed as error:
        if "reach service" in error.why and cluster.get("NetworkPolicy", name):
            return FORWARD
        raise
    return SERVICE


def _ask_service(
    cluster: Cluster, name: str, question: str, max_tokens: int
) -> Iterator[openai_client.Delta]:
    messages = [{"role": "user", "content": question}]
    body = {"model": _model_of_service(cluster, name), "messages": messages, "max_tokens": max_tokens}
    path = f"{_proxy(cluster, name)}/chat/completions"
    message = cluster.request("POST", path, body=body)["choices"][0]["message"]
    if reasoning := message.get("reasoning") or message.get("reasoning_content"):
        yield openai_client.Delta("reasoning", str(reasoning))
    if content := message.get("content"):
        yield openai_client.Delta("content", str(content))


def _model_of_service(cluster: Cluster, name: str) -> str:
    return str(cluster.request("GET", f"{_proxy(cluster, name)}/models")["data"][0]["id"])


def _proxy(cluster: Cluster, name: str) -> str:
    """Return the path under which the API server passes requests on to the Service."""
    service = cluster.get("Service", api_service_name(name))
    port = service["spec"]["ports"][0]["port"] if service else FIRST_PORT
    return f"{cluster.path('Service')}/{api_service_name(name)}:{port}/proxy/v1"


@contextmanager
def reached(cluster: Cluster, name: str) -> Iterator[Reached]:
    """Yield a ready server at the end of a port-forward. Raises Failed if there is none, or if it ends."""
    pod = _ready_pod(cluster, name)
    probe = pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    if probe.get("scheme") == "HTTPS":
        fix = (
            f"kubectl --namespace {cluster.namespace} port-forward {pod['metadata']['name']} {probe['port']}"
        )
        raise Refused(f"the server '{name}' answers HTTPS only", why="Slipway asks it over HTTP", fix=fix)
    port, key = int(probe.get("port", SERVES_ON)), _key(cluster, pod)
    with forwarded(cluster, pod["metadata"]["name"], port) as forward:
        yield Reached(pod, forward.url, _model(forward.url, key), key, port)


def _ready_pod(cluster: Cluster, name: str) -> Object:
    """Return a pod that answers. Raises Failed if there is none."""
    pods = [pod for pod in cluster.list("Pod", f"app.kubernetes.io/name={name}") if has_api(pod)]
    if not pods:
        raise Failed(f"no server '{name}' in namespace '{cluster.namespace}'", fix="invoke deploy")
    for pod in pods:
        ready = (one for one in pod["status"].get("conditions") or () if one["type"] == "Ready")
        if any(one["status"] == "True" for one in ready) and not pod["metadata"].get("deletionTimestamp"):
            return pod
    raise Failed(f"no pod of '{name}' is ready", fix="invoke deploy --status")


def _secret_of(pod: Object) -> str:
    sources = pod["spec"]["containers"][0].get("envFrom") or ()
    names = (str((one.get("secretRef") or {}).get("name", "")) for one in sources)
    return next((name for name in names if name), "")


def _needs_key(pod: Object) -> bool:
    return bool(_secret_of(pod))


def _key(cluster: Cluster, pod: Object) -> str:
    """Return the API key of a pod's server; "" if it needs none. The key goes into requests and nowhere else.

    A user who may not read the Secret may have made it from the key of this host.
    """
    secret = _secret_of(pod)
    if not secret:
        return ""
    try:
        data = (cluster.get("Secret", secret) or {}).get("data") or {}
        return b64decode(data.get(KEY_VARIABLE, "")).decode()
    except Forbidden as error:
        if key := read_key(key_file()):
            return key
        what = f"the server needs the API key of the Secret '{secret}', which this user may not read"
        raise Failed(what, why=error.why, fix=f"ask for `get` on secrets in '{cluster.namespace}'") from error


def _model(url: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    response = request("GET", f"{url}/v1/models", headers=headers, timeout=30, direct=True)
    body = response.read()
    if response.status != 200:
        why = "the Secret has changed since its pods started" if response.status == 401 else ""
        raise Failed(
            f"the server does not name its model (HTTP {response.status})", why=why, fix=f"Secret {API_KEY}"
        )
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise Failed("the server does not answer like vLLM", why=str(error)[:200]) from None


def logs(cluster: Cluster, name: str, tail: int = 0) -> list[tuple[str, str]]:
    """Return the name and the log of each pod that has one."""
    query = {"container": "vllm", **({"tailLines": tail} if tail else {})}
    pods = cluster.list("Pod", f"app.kubernetes.io/name={name}")
    names = [pod["metadata"]["name"] for pod in pods if _has_run(pod)]
    return [
        (pod, cluster.read("GET", f"{cluster.path('Pod', pod)}/log", query).decode(errors="replace"))
        for pod in names
    ]


def _has_run(pod: Object) -> bool:
    """Return whether a container of the pod runs or has run; the API server has no log of another one."""
    found = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(
        (one.get("state") or {}).get(key) or (one.get("lastState") or {}).get(key)
        for one in found
        for key in ("running", "terminated")
    )
