"""Objects and runs for the tests of the write path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context

from ...support import write_path
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

Obj = dict[str, Any]
OURS = "servicemesh.istio"


def config_map(name: str = "a", namespace: str | None = "shop", **data: Any) -> Obj:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def rule(*subsets: str, name: str = "x", **spec: Any) -> Obj:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"host": "x", "subsets": [{"name": subset} for subset in subsets], **spec},
    }


def namespace(name: str = "shop") -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def cluster_with(*objects: Obj, manager: str = OURS) -> FakeCluster:
    """A cluster with namespace ``shop`` and objects that were applied by ``manager``."""
    cluster = FakeCluster(namespace())
    for obj in objects:
        cluster.apply(obj, field_manager=manager)
    forget(cluster)
    return cluster


def forget(cluster: FakeCluster) -> None:
    """Only what follows counts."""
    cluster.calls.clear()
    cluster.writes.clear()
    cluster.dry_runs.clear()


def apply(
    cluster: Any,
    *desired: Obj,
    absent: Sequence[Mapping[str, Any]] = (),
    context: Context | None = None,
    **options: Any,
) -> Obj:
    """One run of the write path, whose waits take no time."""
    return write_path.apply(cluster, desired, absent=absent, context=context or quiet(), **options)


def quiet(**options: Any) -> Context:
    """A context whose waits take no time."""
    return Context(clock=FakeClock(), **options)


def actions(result: Obj) -> dict[str, str]:
    return {entry["id"]: entry["action"] for entry in result["objects"]}
