"""Cells: each counts at the level by which it was proved, and a call stands for its own kind alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import gateway_edge
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import cells as proved
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.call_plan import plan_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.cells import Cells
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.policies import (
    check_policies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture

from .builders import GATEWAY, catalogue, item, live, pod, service
from .test_ledger import ACCOUNTS

EXPOSED = {"gateway": "public", "host": "api.example.com", "path": "/"}
MESH = catalogue(
    service("web", exposed=[EXPOSED]),
    service("pay", callers=[{"service": "web", "methods": ["GET", "POST"], "paths": ["/pay/*"]}]),
    mesh_gateways=[GATEWAY],
)
OURS = [obj for obj in render(MESH) if obj["kind"] in ("AuthorizationPolicy", "PeerAuthentication")]
WEB = "cluster.local/ns/shop/sa/web"
PODS = [pod("web-1", {"app": "web"}), pod("pay-1", {"app": "pay"}), pod("pay-2", {"app": "pay"})]


def look(*extra: dict[str, Any], mesh: Any = MESH, ours: Any = None) -> tuple[Cells, Picture]:
    """One look at the mesh, of whose proxies none was asked yet."""
    picture = Picture(mesh, live(*PODS, *(OURS if ours is None else ours), *extra), ["shop"])
    cells = Cells(["cluster.local"], {str(seen.pod) for seen in picture.pods})
    check_policies(picture, cells)
    cells.count(picture.pods)
    return cells, picture


def ask(cells: Cells, picture: Picture, *names: str, only: str = "") -> None:
    """The proxies of these pods decide as the policies say, those of one method alone with ``only``."""
    for seen in picture.pods:
        if seen.pod.name in names:
            requests = cells.to_ask(seen, 1000)
            cells.asked(seen, {id(one) for one in requests if not only or one.method == only})


def levels(cells: Cells, name: str, *sent: Request) -> dict[str, str]:
    """What ``web`` may send to a service, and the level of each cell."""
    found = cells.proved((name, request) for request in sent)
    return {item.request: item.level for item in found if (item.service, item.caller) == (name, "shop/web")}


def test_without_a_proxy_everything_is_by_the_objects() -> None:
    cells, _picture = look()
    found = cells.proved([])
    assert {item.level for item in found} == {"by the objects"}
    assert proved.levels_of(found) == {
        "all": len(found),
        "called": 0,
        "at_the_proxies": 0,
        "by_the_objects": len(found),
        "not_proved": 0,
    }
    assert all(item.why.startswith(proved.NOT_READ) for item in found)
    assert {item.stated for item in found} == {True, False}


def test_one_proxy_of_two_is_not_the_proxies() -> None:
    cells, picture = look()
    ask(cells, picture, "pay-1")
    assert set(levels(cells, "shop/pay").values()) == {"by the objects"}
    ask(cells, picture, "pay-2")
    assert set(levels(cells, "shop/pay").values()) == {"at the proxies"}


@pytest.mark.parametrize(
    ("first", "rest"), [(("pay-1", "pay-2"), ("pay-3",)), (("pay-3",), ("pay-1", "pay-2"))]
)
def test_of_several_kinds_of_pods_the_least_proved_one_counts(
    first: tuple[str, ...], rest: tuple[str, ...]
) -> None:
    cells, picture = look(pod("pay-3", {"app": "pay", "version": "v2"}))
    ask(cells, picture, *first)
    assert set(levels(cells, "shop/pay").values()) == {"by the objects"}
    ask(cells, picture, *rest)
    assert set(levels(cells, "shop/pay").values()) == {"at the proxies"}


def test_where_no_pod_runs_nothing_is_at_the_proxies() -> None:
    picture = Picture(MESH, live(*PODS, *OURS), ["shop"])
    cells = Cells(["cluster.local"], running=())
    check_policies(picture, cells)
    cells.count(picture.pods)
    ask(cells, picture, "web-1", "pay-1", "pay-2")
    assert {item.level for item in cells.proved([])} == {"by the objects"}


def test_what_a_proxy_was_not_asked_is_not_at_the_proxies() -> None:
    cells, picture = look()
    ask(cells, picture, "pay-1", "pay-2", only="GET")
    found = levels(cells, "shop/pay")
    assert {level for told, level in found.items() if told.startswith("GET ")} == {"at the proxies"}
    assert {level for told, level in found.items() if not told.startswith("GET ")} == {"by the objects"}
    whys = {item.why for item in cells.proved([]) if item.level == proved.BY_THE_OBJECTS}
    assert any(why.startswith(proved.NOT_ASKED) for why in whys)


def test_a_call_stands_for_its_own_kind_alone() -> None:
    cells, picture = look()
    ask(cells, picture, "web-1", "pay-1", "pay-2")
    found = levels(cells, "shop/pay", Request(WEB, 3000, "GET", "/pay/servicemesh"))
    assert {told for told, level in found.items() if level == "called"} == {"GET /pay/... on port 3000"}
    found = levels(cells, "shop/pay", Request(WEB, 3000, "POST", "/other"))
    assert {told for told, level in found.items() if level == "called"} == {"POST /... on port 3000"}


def test_a_call_does_not_stand_for_what_a_policy_tells_from_it() -> None:
    secret = [{"to": [{"operation": {"paths": ["/pay/secret"]}}]}]
    cells, _picture = look(item("AuthorizationPolicy", "no", {"action": "DENY", "rules": secret}))
    sent = ("shop/pay", Request(WEB, 3000, "GET", "/pay/servicemesh"))
    found = {item.request: item for item in cells.proved([sent]) if item.caller == "shop/web"}
    assert found["GET /pay/... on port 3000"].level == "called"
    closed = found["GET /pay/secret on port 3000"]
    assert (closed.level, closed.verdict) == ("by the objects", "fail")


def test_a_header_is_in_no_call() -> None:
    rule = {"when": [{"key": "request.headers[x-debug]", "values": ["1"]}]}
    cells, _picture = look(item("AuthorizationPolicy", "debug", {"action": "DENY", "rules": [rule]}))
    sent = ("shop/pay", Request(WEB, 3000, "GET", "/pay/x"))
    found = [item for item in cells.proved([sent]) if "on port 3000 with x-debug" in item.request]
    assert found
    assert {item.level for item in found} == {"by the objects"}
    assert all(proved.NO_PROBE_SENDS in item.why for item in found)


def test_planned_calls_and_the_gateway_reach_their_cells() -> None:
    cells, _picture = look()
    plan = plan_calls(MESH, ACCOUNTS, unsafe_methods=False)
    sent = [proved.sent_by(call, "cluster.local") for call in plan.calls]
    exposed = MESH.services[0]
    sent += proved.sent_through(gateway_edge(MESH, exposed, exposed.exposed[0]), exposed)
    found = [item for item in cells.proved(sent) if item.level == proved.CALLED]
    assert {(item.service, item.stated) for item in found} == {
        ("shop/pay", True),
        ("shop/pay", False),
        ("shop/web", True),
        ("shop/web", False),
    }
    stated = {(item.service, item.caller, item.request) for item in found if item.stated}
    assert ("shop/pay", "shop/web", "GET /pay/... on port 3000") in stated
    assert all(item.why == "" for item in found)
    assert not any("POST" in request for _service, _caller, request in stated)


def test_a_workload_beside_the_catalogue_has_no_cells() -> None:
    extra = pod("tool-1", {"app": "tool"})
    cells, picture = look(extra)
    assert {item.service for item in cells.proved([])} == {"shop/web", "shop/pay"}
    (tool,) = [seen for seen in picture.pods if seen.pod.name == "tool-1"]
    assert cells.to_ask(tool, 1000), "its proxy is asked all the same"


def test_where_nobody_is_kept_out_every_cell_is_stated_as_open() -> None:
    mesh = catalogue(service("web"), mesh_open={"reason": "a trial"})
    cells, _picture = look(mesh=mesh, ours=[])
    assert {item.verdict for item in cells.proved([])} == {"pass"}


def test_few_requests_are_taken_evenly() -> None:
    cells, picture = look()
    every = cells.to_ask(picture.pods[0], 1000)
    few = cells.to_ask(picture.pods[0], 5)
    assert 0 < len(few) <= 5 < len(every)
    assert few == every[:: len(every) // 5 + 1]


def test_a_cell_tells_why_it_was_not_called() -> None:
    cells, _picture = look()
    told = {
        item.request: item.why
        for item in cells.proved([("shop/pay", Request(WEB, 3000, "GET", "/pay/x"))])
        if (item.service, item.caller) == ("shop/pay", "shop/web")
    }
    assert proved.CHANGES in told["POST /pay/... on port 3000"]
    assert proved.NOT_SENT in told["GET /... on port 3000"]
    assert any(proved.NO_PORT in why for request, why in told.items() if "any other port" in request)
    nobody = {item.why for item in cells.proved([]) if "on port 3000" in item.request}
    assert any(proved.NOBODY_ASKED in why for why in nobody)


def test_tokens_are_tried_at_the_workload_where_somebody_reads_them() -> None:
    reading = item("RequestAuthentication", "jwt", {"selector": {"matchLabels": {"app": "pay"}}})
    reading["spec"]["jwtRules"] = [{"issuer": "https://login.example.com"}]
    without = [{"from": [{"source": {"notRequestPrincipals": ["*"]}}]}]
    cells, picture = look(reading, item("AuthorizationPolicy", "no", {"action": "DENY", "rules": without}))
    tried = {
        seen.pod.name: any(one.token is not None for one in cells.to_ask(seen, 1000)) for seen in picture.pods
    }
    assert tried == {"web-1": False, "pay-1": True, "pay-2": True}
