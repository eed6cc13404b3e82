"""What `invoke deploy` does with the objects of a server: apply them, write them to a folder, remove them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from commands.output import bar, say
from errors import Failed
from launch.render.cluster_settings import ClusterSettings

if TYPE_CHECKING:
    from launch.deploy.apply import Change
    from launch.deploy.client import Cluster
    from launch.deploy.object_options import ObjectOptions
    from launch.operations.deploy import Deployment
    from launch.operations.weights_place import WeightsPlace
    from launch.spec.plan import Plan


def settings_of(
    objects: ObjectOptions, replicas: int, path: str, cpu: str, memory: str, user: int | None
) -> ClusterSettings:
    """Return the settings of the pods."""
    return ClusterSettings(
        replicas,
        weights_path=path,
        cpu=cpu,
        memory=memory,
        run_as=user,
        pull_secret=objects.pull_secret,
        scheduler=objects.scheduler,
        queue=objects.queue,
        topology=objects.topology,
        rdma=objects.rdma_resource,
    )


def applied(prepared: Deployment, dry_run: bool, force: bool, timeout: int) -> Iterable[Change]:
    """Apply the objects one by one, and show the fetch of the weights that comes before the server."""

    def fetch_weights() -> None:
        if not prepared.fetches:
            return
        with bar(f"fetch {prepared.plan.model} into the cluster") as progress:
            prepared.wait_for_weights(
                lambda seen: progress.update(seen.done, seen.total or None, seen.summary), timeout
            )

    return prepared.apply(dry_run, force, fetch_weights)


def write(
    plan: Plan,
    settings: ClusterSettings,
    place: WeightsPlace,
    options: ObjectOptions,
    namespace: str,
    output: str,
    dry_run: bool,
) -> None:
    """Write the objects to a folder and print the paths. Raises Failed if one cannot be written."""
    from launch.atomic_write import write_texts
    from launch.deploy.kustomize import files
    from launch.operations import cluster_objects
    from launch.operations import deploy as operation

    around = cluster_objects.surroundings(plan, place, options, None)
    settings = cluster_objects.with_storage(settings, around)
    plan, documents = operation.objects(plan, settings, around)
    folder = Path(output).expanduser()
    texts = {folder / name: text for name, text in files(documents, namespace).items()}
    try:
        if not dry_run:
            write_texts(texts)
    except OSError as error:
        raise Failed(f"cannot write to '{output}'", why=error.strerror or str(error)) from error
    for path in texts:
        print(path)


def deleted(cluster: Cluster, name: str, weights: bool, dry_run: bool) -> Iterator[Change]:
    """Remove the objects of a server one by one, and say what is kept."""
    from launch.deploy import apply as applying
    from launch.deploy.answers import Forbidden

    changes = list(applying.delete(cluster, name, dry_run, weights))
    if not changes:
        say(f"No server '{name}' exists in namespace '{cluster.namespace}'.")
    yield from changes
    with suppress(Forbidden):  # a user who may not list claims is not told
        for kind, claim in [] if weights else applying.objects(cluster, name, (applying.CLAIM,)):
            say(f"{kind} {claim} is kept with its weights; --delete --delete-weights removes it")
