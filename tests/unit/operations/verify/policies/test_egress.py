"""Part of check policies: who may leave through the egress gateway."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.policies.egress import (
    check_egress,
)

from ....model.security.test_authorization import source
from ..builders import catalogue, live, pod, service
from ..checks.test_policies import PODS, ap

EGRESS = catalogue(
    service("web", open_paths=["/health"]),
    service("pay", callers=[{"service": "web"}]),
    mesh_egress_gateway={
        "workload_namespace": "istio-system",
        "service_account": "egress",
        "selector": {"istio": "egressgateway"},
        "service": "egress",
    },
    mesh_external_services=[
        {
            "name": "bank",
            "hosts": ["bank.example.com"],
            "ports": [{"name": "https", "number": 443, "protocol": "HTTPS"}],
            "callers": ["pay"],
            "via": "egress_gateway",
        }
    ],
)


AT_EGRESS = [obj for obj in render(EGRESS) if obj["kind"] == "AuthorizationPolicy"]


def at_egress(*policies: dict[str, Any]) -> list[str]:
    return [str(item) for item in check_egress(Picture(EGRESS, live(*PODS, *policies), ["shop"]))]


def test_the_policy_of_the_egress_gateway_is_proved_too() -> None:
    (good,) = at_egress(*AT_EGRESS)
    assert good.startswith("pass: egress gateway: ")
    without = [obj for obj in AT_EGRESS if obj["metadata"]["namespace"] != "istio-system"]
    (gone,) = at_egress(*without)
    assert gone.startswith("FAIL: AuthorizationPolicy istio-system/")
    assert ": is missing: lets out any account of any namespace" in gone
    hole = ap("hole", source(principals=["cluster.local/ns/shop/sa/web"]), namespace="istio-system")
    (opened,) = at_egress(*AT_EGRESS, hole)
    assert opened.startswith("FAIL: AuthorizationPolicy istio-system/hole: lets out shop/web")
    (closed,) = at_egress(*AT_EGRESS, ap("stop", {}, namespace="istio-system", action="DENY"))
    assert closed.startswith("FAIL: AuthorizationPolicy istio-system/stop: refuses shop/pay")
    assert "to bank.example.com" in closed


def test_policies_select_the_pods_of_the_egress_gateway_by_any_of_their_labels() -> None:
    by_another = {"selector": {"matchLabels": {"app": "istio-egressgateway"}}}
    hole = ap(
        "hole", source(principals=["cluster.local/ns/shop/sa/web"]), namespace="istio-system", **by_another
    )
    assert at_egress(*AT_EGRESS, hole)[0].startswith("pass: ")  # no pod has that label
    labels = {"istio": "egressgateway", "app": "istio-egressgateway"}
    gateway = {"metadata": {"namespace": "istio-system"}}
    pods = [pod("egress-1", {"istio": "egressgateway"}, **gateway), pod("egress-2", labels, **gateway)]
    (opened,) = at_egress(*AT_EGRESS, hole, *pods)
    assert opened.startswith("FAIL: AuthorizationPolicy istio-system/hole: lets out shop/web")
    assert len(at_egress(*AT_EGRESS, *pods)) == 1


def test_what_was_not_all_tried_at_the_egress_gateway_is_no_pass() -> None:
    many = [{"when": [{"key": f"request.headers[x-{n}]", "values": ["a", "b"]}]} for n in range(10)]
    found = at_egress(*AT_EGRESS, ap("many", *many, namespace="istio-system", action="DENY"))
    assert found[-1] == "cannot tell: egress gateway: too many conditions to try each with each other"
