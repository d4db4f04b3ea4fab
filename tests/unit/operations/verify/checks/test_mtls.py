"""Check mtls: modes by object, listeners by pod and port, callers by DestinationRule."""

from __future__ import annotations

import dataclasses
import json
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
    mtls_callers,
    mtls_certificates,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture

from ..builders import GATEWAY, catalogue, item, live, pod, service

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


def test_a_caller_without_a_proxy_uses_no_mutual_tls() -> None:
    """Also where check injection was told that it needs none."""
    (told,) = mtls_callers.check_callers(picture(pod("web-1", LABELS, proxy=None), STRICT, PAY))
    assert str(told) == "FAIL: Pod shop/web-1: has no proxy, and so calls shop/pay without mutual TLS"
    loose = catalogue(
        service("web"), service("pay", callers=[{"service": "web"}]), mesh_mtls_mode="PERMISSIVE"
    )
    bare = picture(pod("web-1", LABELS, proxy=None), PAY, mesh=loose)
    assert mtls_callers.check_callers(bare) == []  # stated, and nobody that uses it


def test_of_a_caller_in_ambient_mode_nothing_is_said_here() -> None:
    """It has no proxy of its own that could send mutual TLS: check injection says that nobody looked."""
    ambient = {"annotations": {"ambient.istio.io/redirection": "enabled"}}
    raw = pod("web-1", LABELS, proxy=None, metadata=ambient)
    assert mtls_callers.check_callers(picture(raw, STRICT, PAY)) == []


def test_no_pods_and_no_ready_pods_prove_nothing() -> None:
    assert check(state({}))["shop/web"][0] == "cannot tell"
    assert check(state({}), WEB)["shop/web:3000"] == ("cannot tell", "none of its pods is ready", True)


def test_no_certificates_were_read() -> None:
    assert (
        mtls_certificates.check_certificates(MESH.services[0], ["shop/web-1"], {}, roots=frozenset(), now=0)
        == []
    )


def served(identity: str) -> mtls_certificates.Served:
    times = {"valid_from": "2026-01-01T00:00:00Z", "expiration_time": "2027-01-01T00:00:00Z"}
    leaf = {"subject_alt_names": [{"uri": f"spiffe://{identity}"}], **times}
    held = {"cert_chain": [leaf], "ca_cert": [{"serial_number": "1", **times}]}
    return mtls_certificates.Served(json.dumps({"certificates": [held]}), frozenset({b"root"}))


GOOD = "certificates of cluster.local/ns/shop/sa/web alone, in time, under the mesh's root"


@pytest.mark.parametrize(
    ("pods", "told"),
    [
        ({"web-1": True}, f"pass: {GOOD}, in 1 proxies"),
        ({"web-1": True, "web-2": True}, f"pass: {GOOD}, in 2 proxies"),
        ({"web-1": True, "web-2": None}, "cannot tell: the certificates of pod shop/web-2 were not read"),
        ({"web-1": None, "web-2": True, "web-3": None, "web-4": None},
         "cannot tell: the certificates of pod shop/web-1 and 2 more were not read"),
        ({"web-1": None, "web-2": True, "web-3": False},
         "fail: the proxy of pod shop/web-3 serves spiffe://cluster.local/ns/shop/sa/evil"),
    ],
)  # fmt: skip
def test_certificates_pass_where_all_of_them_were_read(pods: dict[str, bool | None], told: str) -> None:
    account = {True: "web", False: "evil"}
    held = {
        f"shop/{name}": served(f"cluster.local/ns/shop/sa/{account[good]}")
        for name, good in pods.items()
        if good is not None
    }
    (found,) = mtls_certificates.check_certificates(
        MESH.services[0],
        [f"shop/{name}" for name in pods],
        held,
        roots=mtls_certificates.MeshRoots(frozenset({"1"}), frozenset({b"root"})),
        now=1_780_000_000,
    )
    assert f"{found.verdict}: {found.message}".startswith(told)


def rule(name: str, mode: str | None, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    host = "pay.shop.svc.cluster.local"
    body = {"host": host, "trafficPolicy": {"tls": {"mode": mode}}, **spec}
    return item("DestinationRule", name, body, namespace=namespace)


def test_a_namespace_with_disable_takes_mutual_tls_from_callers_of_a_strict_service() -> None:
    """Of a whole Service callers see the mode of its namespace alone, and send plaintext."""
    whole = item("PeerAuthentication", "loose", {"mtls": {"mode": "DISABLE"}}, creationTimestamp="2020-01-01")
    selector = {"matchLabels": {"app": "pay"}}
    own = item("PeerAuthentication", "pay", {"mtls": {"mode": "STRICT"}, "selector": selector})
    found = mtls_callers.check_callers(picture(WEB, pod("pay-1", {"app": "pay"}), whole, own))
    assert [(one.verdict, one.subject, one.message) for one in found] == [
        ("fail", "PeerAuthentication shop/loose", "takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)")
    ]


@pytest.mark.parametrize("selector", [{}, {"workloadSelector": {"matchLabels": LABELS}}])
@pytest.mark.parametrize("mode", ["DISABLE", None])
def test_a_destination_rule_that_takes_mutual_tls_away_is_named(
    selector: dict[str, Any], mode: str | None
) -> None:
    """Also by a ``tls`` that names no mode: the first of the enum is DISABLE."""
    (finding,) = mtls_callers.check_callers(
        picture(WEB, pod("pay-1", {"app": "pay"}), STRICT, rule("off", mode, **selector))
    )
    assert (finding.verdict, finding.subject) == ("fail", "DestinationRule shop/off")
    assert finding.message == "takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)"


def test_callers_with_mutual_tls_pass() -> None:
    pods = (WEB, pod("pay-1", {"app": "pay"}))
    for extra in ([], [rule("on", "ISTIO_MUTUAL")], [rule("hidden", "DISABLE", "other")]):
        (finding,) = mtls_callers.check_callers(picture(*pods, STRICT, *extra))
        assert finding.verdict == "pass"


def test_a_gateway_is_a_caller_too() -> None:
    exposed = [{"gateway": "public", "host": "api.example.com", "path": "/"}]
    mesh = catalogue(service("web"), service("pay", exposed=exposed), mesh_gateways=[GATEWAY])
    seen = picture(pod("pay-1", {"app": "pay"}), STRICT, rule("off", "DISABLE"), mesh=mesh)
    assert "gateway public -> shop/pay (WILL_FAIL)" in mtls_callers.check_callers(seen)[0].message


# -- what a port is read as, and as what a pod is announced ------------------------------------------------


def test_a_rule_for_one_version_of_a_caller_or_for_its_headless_companion_counts() -> None:
    """Looked at was the first pod of the caller, and the Service of the callee alone."""
    callers = [pod(f"web-{name}", {**LABELS, "version": name}) for name in ("v1", "v2")]
    whole = item("PeerAuthentication", "default", {"mtls": {"mode": "PERMISSIVE"}})
    selecting = {"workloadSelector": {"matchLabels": {"version": "v2"}}}
    (told,) = mtls_callers.check_callers(
        picture(*callers, pod("pay-1", {"app": "pay"}), whole, rule("pay", "DISABLE", **selecting))
    )
    assert str(told).endswith("pay: takes mutual TLS from shop/web -> shop/pay (PLAINTEXT)")
    port = {"name": "peers", "number": 7000, "target_port": 7000, "protocol": "tcp"}
    paired = service("pay", callers=[{"service": "web"}], headless={"name": "pay-pods", "ports": [port]})
    seen = picture(
        *callers,
        pod("pay-1", {"app": "pay"}),
        STRICT,
        rule("pay-pods", "DISABLE"),
        mesh=catalogue(service("web"), paired),
    )
    (told,) = mtls_callers.check_callers(seen)
    assert str(told).endswith("pay-pods: takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)")
    seen = picture(*callers, pod("pay-1", {"app": "pay"}), STRICT)
    (told,) = mtls_callers.check_callers(seen)
    assert told.message == "1 callers use mutual TLS, by the rules that they see"


@pytest.mark.parametrize(
    ("annotations", "way"),
    [
        ({"excludeOutboundPorts": "80"}, "port 80"),
        ({"excludeOutboundIPRanges": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({"includeOutboundIPRanges": "192.0.2.0/24"}, "all but 192.0.2.0/24"),
        ({"excludeOutboundPorts": "443"}, ""),
    ],
)
def test_a_caller_that_calls_past_its_proxy_uses_no_mutual_tls(annotations: dict[str, str], way: str) -> None:
    """That is told in every mesh: only in one of REGISTRY_ONLY was it, and by another check."""
    named = {f"traffic.sidecar.istio.io/{name}": text for name, text in annotations.items()}
    caller = pod("web-1", LABELS, metadata={"annotations": named})
    (told,) = mtls_callers.check_callers(picture(caller, pod("pay-1", {"app": "pay"}), STRICT, PAY))
    if not way:
        assert told.message == "1 callers use mutual TLS, by the rules that they see"
        return
    what = f"calls {way} past its proxy (traffic.sidecar.istio.io), and so shop/pay without mutual TLS"
    assert str(told) == f"FAIL: Pod shop/web-1: {what}"


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


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("disabled", "is labelled security.istio.io/tlsMode=disabled: callers send it plaintext"),
        (None, "has lost the label security.istio.io/tlsMode=istio: callers send it plaintext"),
    ],
)
def test_one_replica_that_is_announced_without_mutual_tls(label: str | None, told: str) -> None:
    other = pod("web-2", LABELS)
    other["metadata"]["labels"].pop("security.istio.io/tlsMode")
    other["metadata"]["labels"] |= {"security.istio.io/tlsMode": label} if label else {}
    found = mtls_callers.check_callers(picture(WEB, other, STRICT, KUBERNETES))[-1]
    assert str(found).startswith(f"FAIL: Pod shop/web-2: {told}")
    pay = pod("pay-1", {"app": "pay", "security.istio.io/tlsMode": label or ""})
    found = [str(one) for one in mtls_callers.check_callers(picture(WEB, pay, STRICT, PAY))]
    assert found[0] == "pass: callers: 1 callers use mutual TLS, by the rules that they see"
    assert [one.partition(",")[0].partition(":")[0] for one in found[1:]] == ["FAIL"], (
        "once, of the pod alone"
    )
    disabled = authentication("off", "DISABLE")
    found = mtls_callers.check_callers(picture(WEB, other, STRICT, KUBERNETES, disabled))[-1]
    assert found.verdict == "pass"


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
    ("change", "announced"),
    [("", True), ("ambient", False), ("gateway", False), ("host network", False), ("stranger", False)],
)
def test_whom_no_caller_takes_for_a_proxy_of_the_mesh_needs_no_label(change: str, announced: bool) -> None:
    found = mtls_callers.check_callers(
        picture(WEB, changed(pod("web-2", LABELS), change), STRICT, KUBERNETES)
    )
    told = [one for one in found if one.verdict == "fail" and "security.istio.io/tlsMode" in one.message]
    assert [one.subject for one in told] == ["Pod shop/web-2"] * announced


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
