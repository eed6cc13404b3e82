"""The objects of a plan as a folder for kustomize, which GitOps tools apply. Pure."""

from __future__ import annotations

from launch.deploy.client import Object
from launch.render.kubernetes import to_yaml


def files(documents: list[Object], namespace: str = "") -> dict[str, str]:
    """Return the text of each file by its name: one for each object, and the list of them."""
    names = {f"{document['kind'].lower()}.yaml": document for document in documents}
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    listed = {**head, **({"namespace": namespace} if namespace else {}), "resources": sorted(names)}
    texts = {name: to_yaml([document]) for name, document in names.items()}
    return {"kustomization.yaml": to_yaml([listed]), **texts}
