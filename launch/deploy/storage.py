"""The claim for a server's weights, and the Job that fetches them into it. Pure.

The Job runs Slipway's own fetch (`fetch_program.py`) in the image of the server, so nothing else has to be published,
and a node has the image already when the server starts. The list of files comes from this host, and the Job verifies
every byte against it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors import Refused
from launch.access.profiles import HUB, TMP
from launch.deploy.client import Object
from launch.deploy.fetch_program import program
from launch.deploy.object_labels import TEMPLATE, fetch_labels, own_labels
from launch.deploy.quantity import pods_of
from launch.deploy.storage_table import size_gib, table
from launch.weights.manifest import Manifest

CODE = "/slipway"
LARGEST = 1 << 20  # bytes of a ConfigMap
ATTEMPTS = 1  # pods after the first one, for a node that is lost; the program itself repeats its requests
MANY, ONE = "ReadWriteMany", "ReadWriteOnce"
ANY_NODE = ("ReadWriteMany", "ReadOnlyMany")


@dataclass(frozen=True)
class Storage:
    """Where the weights of a server come from. Without a manifest nothing is fetched."""

    claim: str
    new: bool = False  # Slipway makes the claim
    manifest: Manifest | None = None
    endpoint: str = ""
    storage_class: str = ""
    size: str = ""  # of a new claim; "" is computed from the manifest
    hub_secret: str = ""

    @property
    def quantity(self) -> str:
        """The size of a new claim."""
        return self.size or f"{size_gib(self.manifest.size if self.manifest else 0)}Gi"


def documents(storage: Storage, workload: Object) -> list[Object]:
    """Return the claim and what fetches into it, in the order in which they are made."""
    made = [_claim(storage, workload)] if storage.new else []
    if storage.manifest is None:
        return made
    name = job_name(storage, workload["metadata"]["name"])
    return [*made, _code(storage.manifest, name, workload), _job(storage, name, workload)]


def job_name(storage: Storage, server: str) -> str:
    """Return the name of the Job. Other weights or another claim make another Job; another image does not."""
    assert storage.manifest is not None
    parts = (storage.claim, storage.endpoint, storage.manifest.commit, storage.manifest.digest)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{server}-fetch-{digest[:8]}"


def _claim(storage: Storage, workload: Object) -> Object:
    pods = sum(count for _, count in pods_of([workload]))
    spec: dict[str, Any] = {
        "accessModes": [MANY if pods > 1 else ONE],
        "resources": {"requests": {"storage": storage.quantity}},
    }
    if storage.storage_class:
        spec["storageClassName"] = storage.storage_class
    return _object("v1", "PersistentVolumeClaim", storage.claim, workload, spec=spec)


def _code(manifest: Manifest, name: str, workload: Object) -> Object:
    """Return the program and the list of files. Raises Refused for a list that is too long."""
    # What this host verified is of no use there, and would change the object again and again.
    listed = {**manifest.as_dict(), "entries": [_listed(entry) for entry in manifest.as_dict()["entries"]]}
    files = {"fetch.zip": program(), "manifest.json": json.dumps(listed).encode()}
    data = {path: base64.b64encode(content).decode() for path, content in files.items()}
    if sum(map(len, data.values())) > LARGEST:
        what = f"the list of {len(manifest.entries)} files of {manifest.model} is too long for a ConfigMap"
        raise Refused(
            what, fix="fetch the weights on a host that mounts the volume, then use --weights-claim"
        )
    return _object("v1", "ConfigMap", name, workload, binaryData=data)


def _listed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "verified": "", "mtime_ns": 0, "inode": 0}


def _job(storage: Storage, name: str, workload: Object) -> Object:
    server, _ = next(pods_of([workload]))
    labels = fetch_labels(workload["metadata"]["name"])
    template = {"metadata": {"labels": labels}, "spec": _pod(storage, name, server)}
    job = _object("batch/v1", "Job", name, workload, spec={"backoffLimit": ATTEMPTS, "template": template})
    job["metadata"]["annotations"] = {TEMPLATE: _digest(template)}
    return job


def _digest(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def _pod(storage: Storage, name: str, server: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod that fetches: with the user of the server, and on nodes where the server may run.

    A volume that is made for this pod is then where the server can reach it, for example in a zone with GPUs.
    """
    same = ("securityContext", "imagePullSecrets", "tolerations")
    near = (server.get("affinity") or {}).get("nodeAffinity")
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        **{key: server[key] for key in same if key in server},
        **({"affinity": {"nodeAffinity": near}} if near else {}),
        "containers": [_container(storage, server["containers"][0]["image"])],
        "volumes": [
            {"name": "hub", "persistentVolumeClaim": {"claimName": storage.claim}},
            {"name": "code", "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _container(storage: Storage, image: str) -> dict[str, Any]:
    variables = {"HF_ENDPOINT": storage.endpoint, "HF_HUB_CACHE": HUB, "SLIPWAY_STATE_DIR": f"{TMP}/slipway"}
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in variables.items()]
    if storage.hub_secret:
        key = {"secretKeyRef": {"name": storage.hub_secret, "key": "token"}}
        env.append({"name": "HF_TOKEN", "valueFrom": key})
    mounts = {"hub": (HUB, False), "code": (CODE, True), "tmp": (TMP, False)}
    return {
        "name": "fetch",
        "image": image,
        "command": ["python3", "-B", f"{CODE}/fetch.zip", f"{CODE}/manifest.json"],
        "env": env,
        "resources": _resources(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}
            for volume, (path, read_only) in mounts.items()
        ],
    }


def _resources() -> dict[str, Any]:
    row = {key: found.value for key, found in table().fetch.items()}
    same = {"memory": row["memory"], "ephemeral-storage": row["disk"]}
    return {"requests": {"cpu": row["cpu"], **same}, "limits": {"cpu": row["most_cpu"], **same}}


def _object(version: str, kind: str, name: str, workload: Object, **body: Any) -> Object:
    meta = {"name": name, "labels": own_labels(workload["metadata"]["name"])}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **body}
