"""A server on a cluster, reached through the API server: an answer through its Service, the logs of its pods.

The API server passes requests on to a Service, which needs no open port and no other program. It takes the
Authorization header for itself, so a server with an API key cannot be asked in this way.
"""

from __future__ import annotations

from errors import Failed
from launch.deploy.client import Cluster
from launch.render.kubernetes import api_service_name


def ask(cluster: Cluster, name: str, question: str, max_tokens: int = 256) -> str:
    """Return the answer to a question. Raises Failed if the server does not give one."""
    service = cluster.get("Service", api_service_name(name))
    if service is None:
        raise Failed(f"no server '{name}' in namespace '{cluster.namespace}'", fix="invoke deploy")
    port = service["spec"]["ports"][0]["port"]
    path = f"{cluster.path('Service')}/{api_service_name(name)}:{port}/proxy/v1"
    try:
        model = cluster.request("GET", f"{path}/models")["data"][0]["id"]
    except Failed as error:
        raise _explained(cluster, name, error) from error
    messages = [{"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "max_tokens": max_tokens}
    answer = cluster.request("POST", f"{path}/chat/completions", body=body)
    message = answer["choices"][0]["message"]
    reasoning = message.get("reasoning") or message.get("reasoning_content") or ""
    return str(message.get("content") or reasoning)


def _explained(cluster: Cluster, name: str, error: Failed) -> Failed:
    """Return the error of a server that is not reached; its policy may keep the API server of the cluster out."""
    if "reach service" not in error.why or cluster.get("NetworkPolicy", name) is None:
        return error
    what = f"the API server of the cluster cannot reach '{name}'"
    fix = "--allow-from CIDR with the address of the API server, or --wait ready"
    return Failed(what, why=f"{error.why}; the NetworkPolicy '{name}' may keep it out", fix=fix)


def logs(cluster: Cluster, name: str, tail: int = 0) -> list[tuple[str, str]]:
    """Return the name and the log of each pod that has one."""
    query = {"tailLines": tail} if tail else {}
    pods = cluster.list("Pod", f"app.kubernetes.io/name={name}")
    started = [pod for pod in pods if (pod.get("status") or {}).get("containerStatuses")]
    names = [pod["metadata"]["name"] for pod in started]
    return [
        (pod, cluster.read("GET", f"{cluster.path('Pod', pod)}/log", query).decode(errors="replace"))
        for pod in names
    ]
