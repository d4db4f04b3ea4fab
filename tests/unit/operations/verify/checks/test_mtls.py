"""Check mtls: modes by object, listeners by pod and port."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.istiod import Istiod
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.authorization import (
    HeldAuthorization,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import (
    InboundChain,
    InboundPort,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    injection,
    mtls,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture

from ..builders import catalogue, item, live, pod, service

LABELS = {"app": "web"}
MESH = catalogue(service("web"), service("pay", callers=[{"service": "web"}]))
STRICT = item("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}})
KUBERNETES = item(
    "Service", "web", {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]}
)


def authentication(name: str, mode: str, **spec: Any) -> dict[str, Any]:
    return item(
        "PeerAuthentication", name, {"selector": {"matchLabels": LABELS}, "mtls": {"mode": mode}, **spec}
    )


def picture(*items: dict[str, Any], mesh: Catalogue = MESH) -> Picture:
    return Picture(mesh, live(*items), ["shop"])


def problems(*items: dict[str, Any], mesh: Catalogue = MESH) -> list[str]:
    return [str(finding) for finding in mtls.check_modes(picture(*items, mesh=mesh))]


WEB = pod("web-1", LABELS)
PAY = item("Service", "pay", {"selector": {"app": "pay"}, "clusterIP": "10.96.0.7"})


def test_a_strict_mesh_has_no_finding_by_object() -> None:
    assert problems(WEB, STRICT, KUBERNETES) == []


def test_one_object_that_loosens_many_ports_is_one_finding() -> None:
    (told,) = problems(
        WEB,
        pod("pay-1", {"app": "pay"}),
        item("PeerAuthentication", "loose", {"mtls": {"mode": "PERMISSIVE"}}),
    )
    assert told.startswith("FAIL: PeerAuthentication shop/loose: makes PERMISSIVE, not STRICT, ")
    assert "shop/web:3000" in told
    assert "shop/pay:3000" in told


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        (
            [authentication("p", "STRICT", portLevelMtls={"9090": {"mode": "DISABLE"}})],
            "PeerAuthentication shop/p: makes DISABLE, not STRICT, shop/web:9090",
        ),
        (
            [
                authentication("p", "STRICT", portLevelMtls={"8081": {"mode": "PERMISSIVE"}}),
                item("Service", "extra", {"selector": LABELS, "ports": [{"port": 81, "targetPort": 8081}]}),
            ],
            "PeerAuthentication shop/p: makes PERMISSIVE, not STRICT, shop/web:8081",
        ),
        (
            [authentication("p", "PERMISSIVE", portLevelMtls={"3000": {"mode": "STRICT"}})],
            "shop/web:any other port but 15008",
        ),
    ],
)
def test_ports_that_the_catalogue_does_not_name(objects: list[dict[str, Any]], told: str) -> None:
    found = problems(WEB, STRICT, KUBERNETES, *objects)
    assert len(found) == 1
    assert told in found[0]


def test_a_workload_beside_the_catalogue() -> None:
    tool = pod("tool-1", {"app": "tool"})
    loose = item(
        "PeerAuthentication", "t", {"selector": {"matchLabels": {"app": "tool"}}, "mtls": {"mode": "DISABLE"}}
    )
    (told,) = problems(tool, STRICT, loose)
    told_of = "PeerAuthentication shop/t: makes DISABLE, not STRICT, shop/tool-1:any other port but 15008"
    assert told_of in told
    assert problems(tool, STRICT) == []


def excluding(ports: str) -> dict[str, Any]:
    return {"annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": ports}}


@pytest.mark.parametrize("ports", ["3000", "9090"])
def test_ports_that_a_proxy_is_kept_away_from(ports: str) -> None:
    annotated = pod("web-1", LABELS, metadata=excluding(ports))
    extra = item("Service", "extra", {"selector": LABELS, "ports": [{"port": 90, "targetPort": 9090}]})
    (told,) = problems(annotated, STRICT, KUBERNETES, extra)
    assert (
        told == f"FAIL: Pod shop/web-1: keeps its proxy away (traffic.sidecar.istio.io) from shop/web:{ports}"
    )


def test_the_port_of_tunnels_has_no_proxy_in_any_pod() -> None:
    """Nothing listens there as a rule, and so it counts where something leads there or names it."""
    extra = item("Service", "extra", {"selector": LABELS, "ports": [{"port": 80, "targetPort": 15008}]})
    told = "has no proxy before (istio-init leaves the port of tunnels alone in every pod) shop/web:15008"
    what = f"FAIL: Pod shop/web-1: {told}"
    assert problems(pod("web-1", LABELS), STRICT, KUBERNETES, extra) == [what]
    named = pod("web-1", LABELS)
    named["spec"]["containers"][0]["ports"] = [{"containerPort": 15008}]
    assert problems(named, STRICT, KUBERNETES) == [what]
    assert problems(pod("web-1", LABELS), STRICT, KUBERNETES) == []


def test_a_port_that_nothing_leads_to_is_told_elsewhere() -> None:
    """Check ``objects`` tells it: there it can be accepted with a reason."""
    annotated = pod("web-1", LABELS, metadata=excluding("15090, 9102"))
    assert problems(annotated, STRICT, KUBERNETES) == []


def leaving(ports: str, **state: Any) -> dict[str, Any]:
    """A pod that was deleted, with one container in a state."""
    deleted = {"deletionTimestamp": "2026-11-24T10:00:00Z", **excluding(ports)}
    found = pod("web-0", LABELS, metadata=deleted)
    found["status"]["containerStatuses"] = [{"name": "app", "state": state}]
    return found


def test_a_deleted_pod_that_still_answers_past_its_proxy_is_told() -> None:
    (found,) = mtls.check_modes(picture(WEB, leaving("3000", running={}), STRICT, KUBERNETES))
    assert (found.verdict, found.subject, found.late) == ("fail", "Pod shop/web-0", True)
    assert "from shop/web:3000; it was deleted, and answers until it ends" in found.message


def test_a_deleted_pod_that_has_ended_or_leaves_nothing_open_is_no_finding() -> None:
    assert problems(WEB, leaving("3000", terminated={"exitCode": 0}), STRICT, KUBERNETES) == []
    assert problems(WEB, leaving("15090", running={}), STRICT, KUBERNETES) == []


MODES = {"STRICT": (True, False), "PERMISSIVE": (True, True), "DISABLE": (False, True)}


def listener(mode: str) -> dict[int, InboundPort]:
    taken = MODES[mode]
    return {number: InboundPort(number, *taken, frozenset()) for number in (3000, 0)}


def state(modes: dict[str, str], **more: Any) -> mtls.InboundState:
    names = frozenset(f"shop/{name}" for name in modes)
    ports = {f"shop/{name}": listener(mode) for name, mode in modes.items() if mode}
    return mtls.InboundState(ports, **{"running": names, "taking": names, **more})


def check(
    held: mtls.InboundState, *items: dict[str, Any], mesh: Catalogue = MESH
) -> dict[str, tuple[str, str, bool]]:
    seen = picture(*items, mesh=mesh)
    return {
        finding.subject: (finding.verdict, finding.message, finding.late)
        for finding in mtls.check_listeners(seen, mesh.services[0], held)
    }


def test_strict_listeners_pass_on_every_port() -> None:
    found = check(state({"web-1": "STRICT"}), WEB, STRICT)
    assert {subject: verdict for subject, (verdict, _text, _late) in found.items()} == {
        "shop/web:3000": "pass",
        "shop/web:any other port but 15008": "pass",
    }


def test_a_listener_that_is_as_a_loosening_object_says_is_told_with_the_object_alone() -> None:
    found = check(state({"web-1": "PERMISSIVE"}), WEB, authentication("loose", "PERMISSIVE"))
    assert found == {}


def test_a_listener_that_lags_behind_its_object_may_change() -> None:
    verdict, message, late = check(state({"web-1": "PERMISSIVE"}), WEB, STRICT)["shop/web:3000"]
    assert (verdict, late) == ("fail", True)
    assert "PeerAuthentication shop/default says STRICT, which it does not hold yet" in message


def test_an_exception_of_the_catalogue_is_told_with_its_reason_and_is_no_pass() -> None:
    mesh = catalogue(service("web", mtls={"mode": "PERMISSIVE", "reason": "legacy clients"}))
    verdict, message, _rest = check(
        state({"web-1": "PERMISSIVE"}), WEB, authentication("web", "PERMISSIVE"), mesh=mesh
    )["shop/web:3000"]
    assert verdict == "stated opening"
    assert "legacy clients" in message


def test_an_exception_that_does_not_hold_fails() -> None:
    mesh = catalogue(service("web", mtls={"mode": "DISABLE", "reason": "legacy clients"}))
    assert check(state({"web-1": "STRICT"}), WEB, STRICT, mesh=mesh) == {}
    assert problems(WEB, STRICT, mesh=mesh) == [
        "FAIL: PeerAuthentication shop/default: makes STRICT, not DISABLE, shop/web:3000,"
        " shop/web:any other port but 15008"
    ]


def test_a_pod_without_proxy_behind_the_service_fails_once_it_takes_requests() -> None:
    naked = pod("web-2", LABELS, proxy=None)
    both = state({"web-1": "STRICT", "web-2": ""}, running=frozenset({"shop/web-1"}))
    assert (
        "shop/web-2 takes traffic without a running sidecar"
        in check(both, WEB, naked, STRICT)["shop/web:3000"][1]
    )
    starting = state({"web-1": "STRICT"})
    assert check(starting, WEB, naked, STRICT)["shop/web:3000"][0] == "pass"


@pytest.mark.parametrize("unread", [{"shop/web-2": "no right to exec"}, {}])
def test_one_proxy_of_two_that_was_not_read_proves_nothing(unread: dict[str, str]) -> None:
    """Whether it could not be read or was beyond the limit."""
    held = state({"web-1": "STRICT", "web-2": ""}, unread=unread)
    verdict, message, late = check(held, WEB, pod("web-2", LABELS), STRICT)["shop/web:3000"]
    assert (verdict, late) == ("cannot tell", bool(unread))
    assert ("no right to exec" if unread else "verify_max_proxies") in message


def test_one_plaintext_replica_is_found_whichever_it_is() -> None:
    for bad in ("web-1", "web-2"):
        modes = {"web-1": "STRICT", "web-2": "STRICT", bad: "PERMISSIVE"}
        found = check(state(modes), WEB, pod("web-2", LABELS), STRICT)["shop/web:3000"]
        assert found[0] == "fail"
        assert f"shop/{bad}" in found[1]


def test_a_pod_in_ambient_mode_is_not_looked_at_and_no_fault() -> None:
    raw = pod(
        "web-1", LABELS, proxy=None, metadata={"annotations": {"ambient.istio.io/redirection": "enabled"}}
    )
    expected = ("cannot tell", "pod shop/web-1 is in ambient mode, which is not looked at", False)
    taking = state({}, taking=frozenset({"shop/web-1"}))
    assert check(taking, raw)["shop/web:3000"] == expected
    (found,) = injection.check_pods([raw], expected_version="", istiods=[], unmeshed=[], now=0)
    assert str(found) == "cannot tell: Pod shop/web-1: is in ambient mode, which is not looked at"


def test_no_pods_and_no_ready_pods_prove_nothing() -> None:
    assert check(state({}))["shop/web"][0] == "cannot tell"
    assert check(state({}), WEB)["shop/web:3000"] == ("cannot tell", "none of its pods is ready", True)


# -- what a port is read as, and as what a pod is announced ------------------------------------------------


def parsing(*http: bool) -> dict[int, InboundPort]:
    chains = tuple(InboundChain(True, one, HeldAuthorization([])) for one in http)
    return {number: InboundPort(number, True, False, frozenset(), chains) for number in (3000, 0)}


@pytest.mark.parametrize(
    ("protocol", "http", "told"),
    [
        ("http", (True,), ""),
        ("http", (True, False), ""),  # sniffed
        ("http", (False,), "reads it as bytes, not as HTTP"),
        ("http", (), ""),
        ("tcp", (False,), ""),
        ("tcp", (True, False), ""),
        ("tcp", (True,), "reads it as HTTP, not as bytes"),
    ],
)
def test_a_proxy_that_reads_a_port_in_another_way(protocol: str, http: tuple[bool, ...], told: str) -> None:
    port = {"name": "main", "number": 80, "target_port": 3000, "protocol": protocol}
    mesh = catalogue(service("web", ports=[port]))
    held = mtls.InboundState(
        {"shop/web-1": parsing(*http)}, running=frozenset({"shop/web-1"}), taking=frozenset({"shop/web-1"})
    )
    verdict, message, late = check(held, WEB, STRICT, mesh=mesh)["shop/web:3000"]
    assert (verdict, late) == (("fail", True) if told else ("pass", False))
    assert told in message


def changed(raw: dict[str, Any], change: str) -> dict[str, Any]:
    raw["metadata"]["labels"].pop("security.istio.io/tlsMode", None)
    if change == "ambient":
        raw["metadata"]["annotations"]["ambient.istio.io/redirection"] = "enabled"
    elif change == "gateway":
        raw["spec"]["containers"][1]["args"] = ["proxy", "router"]
    elif change == "host network":
        raw["spec"]["hostNetwork"] = True
    elif change == "stranger":
        raw["metadata"]["labels"]["app"] = "stranger"
    return raw


@pytest.mark.parametrize(
    ("change", "told"), [("", 1), ("ambient", 0), ("gateway", 0), ("host network", 0), ("stranger", 1)]
)
def test_a_port_is_kept_from_the_proxies_of_sidecars_alone(change: str, told: int) -> None:
    web = changed(pod("web-1", LABELS, metadata=excluding("3000")), change)
    tool = item("Service", "stranger", {"selector": {"app": "stranger"}, "ports": [{"port": 3000}]})
    assert len(problems(web, STRICT, KUBERNETES, tool)) == told


def test_objects_of_another_revision_decide_nothing() -> None:
    foreign = authentication("loose", "DISABLE")
    foreign["metadata"]["labels"] = {"istio.io/rev": "other"}
    istiod = Istiod("istio-system", "istiod-1", "default", "1.31.0")

    def modes(*items: dict[str, Any], istiods: list[Istiod]) -> list[Any]:
        return mtls.check_modes(Picture(MESH, live(*items, istiods=istiods), ["shop"]))

    objects = (WEB, STRICT, KUBERNETES, foreign)
    assert modes(*objects, istiods=[istiod]) == []
    assert modes(*objects, istiods=[]) != [], "nobody knows which revisions there are"
    assert modes(*objects, istiods=[istiod, dataclasses.replace(istiod, revision="other")]) != []
    tag = item("Service", "istiod-other", namespace="istio-system", labels={"istio.io/tag": "other"})
    assert modes(*objects, tag, istiods=[istiod]) != []
