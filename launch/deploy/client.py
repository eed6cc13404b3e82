"""A cluster through the official client: requests by kind, warnings that the client drops, errors as clear messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from errors import Failed, Refused
from launch.deploy.answers import Forbidden, NotFound, error_of, warning_text

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
FIELD_MANAGER = "slipway"
TIMEOUT = 60  # seconds for a request
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
# A user without rights for these kinds has none of them: many users may only make Deployments.
OPTIONAL = (
    "LeaderWorkerSet",
    "StatefulSet",
    "Job",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceMonitor",
    "ConfigMap",
)
# Where the API serves a kind: group and version, plural.
KINDS = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "LeaderWorkerSet": ("apis/leaderworkerset.x-k8s.io/v1", "leaderworkersets"),
    "Service": ("api/v1", "services"),
    "Pod": ("api/v1", "pods"),
    "Event": ("api/v1", "events"),
    "Secret": ("api/v1", "secrets"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "LimitRange": ("api/v1", "limitranges"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Job": ("apis/batch/v1", "jobs"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "ServiceMonitor": ("apis/monitoring.coreos.com/v1", "servicemonitors"),
}
# Servers before these groups have an older one: policy/v1 came with Kubernetes 1.21.
OLDER = {"PodDisruptionBudget": "apis/policy/v1beta1"}


@dataclass
class Cluster:
    """One namespace of a cluster. `warnings` collects what the server warned of."""

    api: ApiClient
    namespace: str
    host: str
    warnings: list[str] = field(default_factory=list)
    _groups: dict[str, str] = field(default_factory=dict, repr=False)

    def request(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None, kind: str = ""
    ) -> Object:
        """Return the answer as JSON values. `kind` is the content type of the body. Raises Failed."""
        return dict(json.loads(self.read(method, path, query, body, kind)))

    def read(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        kind: str = "",
        accept: str = "application/json, */*",
    ) -> bytes:
        """Return the answer as it is. Raises Failed."""
        headers = {"Accept": accept, "Content-Type": kind or "application/json"}
        with self._as_failure(method, path):
            words = self.api.param_serialize(
                method,
                f"/{path}",
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            # Its types are incomplete.
            answer: Any = self.api.call_api(*words, _request_timeout=cast(Any, TIMEOUT))
            data = answer.read()
        if answer.status >= 400:
            raise error_of(answer.status, data, self.host, self.namespace)
        text = answer.getheader("Warning")
        self.warnings += [one for one in warning_text(text or "") if one not in self.warnings]
        return bytes(data)

    @contextmanager
    def _as_failure(self, method: str, path: str) -> Iterator[None]:
        """Turn what the client raises on its way to the server into Failed."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (HTTPError, OSError, ApiException) as error:
            reason = str(getattr(error, "reason", "") or error)
            why = reason.rpartition(": ")[2][:200]
            fix = "check the address and the certificate in the kubeconfig, then repeat the command"
            raise Failed(f"cannot reach the cluster at {self.host}", why=why, fix=fix) from error

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object; None if there is none, or if the cluster does not know the kind."""
        try:
            return self.request("GET", self.path(kind, name))
        except (NotFound, Forbidden) as error:
            if isinstance(error, Forbidden) and kind not in OPTIONAL:
                raise
            return None

    def exists(self, kind: str, name: str) -> bool:
        """Return whether there is an object, without its content. Raises Forbidden."""
        try:
            self.read("GET", self.path(kind, name), accept=METADATA)
        except NotFound:
            return False
        return True

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """Return the objects of a kind; [] if the cluster does not know it."""
        try:
            found = self.request("GET", self.path(kind), {"labelSelector": selector} if selector else None)
        except (NotFound, Forbidden) as error:
            if isinstance(error, Forbidden) and kind not in OPTIONAL:
                raise
            return []
        return [{"kind": kind, **item} for item in found["items"]]

    def apply(self, document: Object, dry_run: bool = False, force: bool = False) -> Object:
        """Apply a document on the server with Slipway as its field manager."""
        query = {
            "fieldManager": FIELD_MANAGER,
            "force": str(force).lower(),
            **({"dryRun": "All"} if dry_run else {}),
        }
        path = self.path(document["kind"], document["metadata"]["name"])
        if document["kind"] in OLDER:
            document = {**document, "apiVersion": self.group(document["kind"]).removeprefix("apis/")}
        # JSON is YAML; the client would send a text as a JSON string.
        return self.request("PATCH", path, query, document, "application/apply-patch+yaml")

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object with what belongs to it; return whether there was one."""
        try:
            self.request("DELETE", self.path(kind, name), {"propagationPolicy": "Background"})
        except NotFound:
            return False
        return True

    def serves(self, group: str) -> bool:
        """Return whether the server has a group of kinds."""
        try:
            self.request("GET", group)
        except NotFound:
            return False
        return True

    def group(self, kind: str) -> str:
        """Return where the server has a kind. It is asked once for kinds that moved."""
        newest = KINDS[kind][0]
        if kind in OLDER and kind not in self._groups:
            self._groups[kind] = newest if self.serves(newest) else OLDER[kind]
        return self._groups.get(kind, newest)

    def path(self, kind: str, name: str = "") -> str:
        """Return the path of an object of this namespace, or of all objects of a kind."""
        group, plural = self.group(kind), KINDS[kind][1]
        return f"{group}/namespaces/{self.namespace}/{plural}{f'/{name}' if name else ''}"


def connect(namespace: str = "", context: str = "") -> Cluster:
    """Connect to the cluster of the kubeconfig, or to the one that this pod runs in. Raises Refused or Failed."""
    try:
        from kubernetes import client
        from kubernetes import config as untyped
    except ImportError as error:
        fix = "pip install 'kubernetes>=37'"
        raise Refused("the Kubernetes client is not installed", why=str(error), fix=fix) from error
    config: Any = untyped
    try:
        configuration = client.Configuration()
        # The client reads the variable once, when it is imported.
        file = os.environ.get("KUBECONFIG") or None
        config.load_kube_config(file, context=context or None, client_configuration=configuration)
        contexts, active = config.list_kube_config_contexts(file)
        chosen = next((one for one in contexts if one["name"] == context), active)
        own = chosen.get("context", {}).get("namespace", "")
    except config.ConfigException as error:
        if context:
            raise Refused(
                f"no context '{context}'", why=str(error), fix="kubectl config get-contexts"
            ) from error
        raise Refused("no cluster is configured", why=str(error), fix="export KUBECONFIG=PATH") from error
    configuration.retries = False  # an error of the network is shown at once
    return Cluster(client.ApiClient(configuration), namespace or own or "default", configuration.host)
