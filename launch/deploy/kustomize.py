"""The objects of a plan as a folder for kustomize, which GitOps tools apply. Pure."""

from __future__ import annotations

from collections import Counter

from launch.deploy.client import Object
from launch.deploy.object_labels import TEMPLATE
from launch.render.kubernetes import to_yaml

# Argo CD makes objects of a later wave when the earlier ones are ready: a Job that is complete, a claim that is bound.
WAVE = "argocd.argoproj.io/sync-wave"


def files(documents: list[Object], namespace: str = "") -> dict[str, str]:
    """Return the text of each file by its name: one for each object, and the list of them."""
    workload, *others = map(_named_by_template, documents)
    if any(document["kind"] == "Job" for document in others):
        workload = _in_second_wave(workload)
    counts = Counter(document["kind"] for document in (workload, *others))
    names = {_name(document, counts): document for document in (workload, *others)}
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    listed = {**head, **({"namespace": namespace} if namespace else {}), "resources": sorted(names)}
    texts = {name: to_yaml([document]) for name, document in names.items()}
    return {"kustomization.yaml": to_yaml([listed]), **texts}


def _named_by_template(document: Object) -> Object:
    """Give a Job another name with another template, because tools that apply a folder cannot change a Job."""
    meta = document["metadata"]
    template = (meta.get("annotations") or {}).get(TEMPLATE, "")
    return {**document, "metadata": {**meta, "name": f"{meta['name']}-{template}"}} if template else document


def _name(document: Object, counts: Counter[str]) -> str:
    """Return the name of a file: the kind, and the name of the object if there are several of the kind."""
    kind = str(document["kind"])
    own = f"-{document['metadata']['name']}" if counts[kind] > 1 else ""
    return f"{kind.lower()}{own}.yaml"


def _in_second_wave(workload: Object) -> Object:
    meta = workload["metadata"]
    return {**workload, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), WAVE: "1"}}}
