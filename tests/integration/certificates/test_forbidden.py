"""Gateways of two namespaces, and a user who lacks a right in one of them: the other one is renewed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError

from .conftest import ACCOUNT, HOME

RBAC = "rbac.authorization.k8s.io"
PART = Path(__file__).resolve().parents[3] / "docs" / "rbac" / "parts" / "certificates.yaml"


def rules_of(name: str) -> list[dict[str, Any]]:
    """What the file grants under a name."""
    items = yaml.safe_load(PART.read_text(encoding="utf-8"))["items"]
    (rules,) = [one["rules"] for one in items if one["metadata"]["name"] == name and "rules" in one]
    return list(rules)


@pytest.fixture
def beside(edge) -> Iterator[str]:
    """A namespace for another gateway."""
    name = f"{edge.name}-b"
    edge.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    edge.client.delete("v1", "Namespace", name)


@pytest.fixture
def granting(edge) -> Iterator[Callable[..., dict[str, str]]]:
    """``granting(namespace="", rules)``: a user with these rights, as the module's parameters."""
    subject = {"apiGroup": RBAC, "kind": "User", "name": f"user-{edge.name}"}
    made: list[tuple[str, str, str | None]] = []

    def grant(namespace: str, rules: list[dict[str, Any]]) -> dict[str, str]:
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": edge.name, **({"namespace": namespace} if namespace else {})}
        edge.client.apply(
            {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}, force=True
        )
        reference = {"apiGroup": RBAC, "kind": kind, "name": edge.name}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": metadata}
        edge.client.apply({**binding, "roleRef": reference, "subjects": [subject]}, force=True)
        made.extend((one, edge.name, namespace or None) for one in (f"{kind}Binding", kind))
        return {"impersonate_user": subject["name"], "impersonate_groups": ["system:authenticated"]}

    yield grant
    for kind, name, namespace in made:
        edge.client.delete(f"{RBAC}/v1", kind, name, namespace)


@pytest.mark.long
def test_a_right_that_is_missing_in_one_namespace_stops_nobody_elsewhere(edge, beside, granting) -> None:
    edge.expose()
    (gateway,) = edge.params()["gateways"]
    other = {"host": f"b.{edge.host}", "certificate": edge.name}
    both = [gateway, {"workload_namespace": beside, "service_account": ACCOUNT, "servers": [other]}]
    forced = {"gateways": both, "force": [f"{HOME}/{edge.name}", f"{beside}/{edge.name}"], "overlap": 0}
    edge.run(gateways=both, overlap=0)
    before = [edge.secret(namespace=namespace) for namespace in (HOME, beside)]
    gateways = rules_of("servicemesh-certificates-gateways")
    granting("", rules_of("servicemesh-certificates-cluster"))
    granting(edge.name, rules_of("servicemesh-certificates-certificate-authority"))
    granting(HOME, gateways)
    reading = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch"]} for rule in gateways]
    user = granting(beside, reading)
    left = f"Secret {beside}/{edge.name}"
    for check in (True, False):
        with pytest.raises(
            ApiError, match=f"^nothing was written of Secret {beside}/{edge.name}: "
        ) as caught:
            edge.run(check_mode=check, **forced, **user)
        assert f": rights are missing: in {beside}: patch on secrets '{edge.name}'" in caught.value.message
    found = {one["id"]: one["action"] for one in caught.value.details["certificates"]}
    assert found == {f"Secret {HOME}/{edge.name}": "updated", left: "refused"}
    after = [edge.secret(namespace=namespace) for namespace in (HOME, beside)]
    assert after[0]["data"] != before[0]["data"]
    assert after[1] == before[1]
    granting(beside, gateways)
    done = edge.run(**forced, **user)
    assert (done["outcome"], done["counts"]["updated"]) == ("renewed", 2)
