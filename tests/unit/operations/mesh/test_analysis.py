"""What is said before the first write: istioctl's analyzers, and who STRICT would cut off."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import SystemClock
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import ApplyOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, Plan
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.analysis import (
    Analysis,
    before_write,
    parse_messages,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.options import (
    MeshOptions,
    prometheus_at,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.peer_modes import PeerModes
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.plaintext import flow_of
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.strict_guard import (
    StrictGuard,
    captured_scrapes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.workload_names import (
    workload_name,
)

from ...support.cluster import FakeCluster


def cluster_with(*objects: dict[str, Any], only_namespaces: bool = False) -> FakeCluster:
    """Forbids cluster-wide lists on request."""
    cluster = FakeCluster(*objects)
    if only_namespaces:
        cluster.fail("list", how=403, times=99, when=lambda call: call.namespace is None)
    return cluster


def obj(kind: str, name: str = "a", **more: Any) -> dict[str, Any]:
    versions = {"VirtualService": "networking.istio.io/v1", "PeerAuthentication": "security.istio.io/v1"}
    metadata = {"name": name, "namespace": "shop", "managedFields": [{"manager": "x"}]}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def plan(*items: Item) -> Plan:
    return Plan(list(items), Live())


def analyzer(tmp_path: Path, answer: str, code: int = 0) -> str:
    """A program that keeps its input and answers."""
    program = tmp_path / "istioctl"
    keeps = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\ncat > {tmp_path}/input\n"
    program.write_text(f"{keeps}cat <<'EOF'\n{answer}\nEOF\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def message(level: str, origin: str = "VirtualService shop/a") -> dict[str, str]:
    return {"code": "IST0101", "level": level, "origin": origin, "message": "not found"}


def run(
    tmp_path: Path, answer: str, *, mode: str = "warn", code: int = 0, cluster: FakeCluster | None = None
) -> Analysis:
    warnings: list[str] = []
    context = Context(warn=warnings.append, environment={"PATH": "/usr/bin:/bin"})
    check = Analysis(cluster or cluster_with(), context, mode=mode, istioctl=analyzer(tmp_path, answer, code))
    check(plan(Item(obj("VirtualService"), action="created")))
    check.warnings = warnings
    return check


def test_only_errors_and_warnings_about_changed_objects_count() -> None:
    text = json.dumps(
        [message("Info"), message("Warning"), message("Error"), message("Error", "Gateway shop/other")]
    )
    found = parse_messages(text, ["VirtualService shop/a"])
    assert [str(item) for item in found] == [
        "Error IST0101 VirtualService shop/a: not found",
        "Warning IST0101 VirtualService shop/a: not found",
    ]
    assert parse_messages("[]\n", []) == []
    for nonsense in ("oops", "", "\n", '{"a": 1}', "[1]"):
        with pytest.raises(MeshError, match="list of messages"):
            parse_messages(nonsense, [])


def test_warn_reports_and_goes_on(tmp_path: Path) -> None:
    check = run(tmp_path, json.dumps([message("Error")]))
    assert check.status == "fail"
    assert check.warnings == ["istioctl analyze: Error IST0101 VirtualService shop/a: not found"]


def test_strict_refuses_errors_and_silence_but_not_warnings(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="refused before the first write: Error IST0101"):
        run(tmp_path, json.dumps([message("Error")]), mode="strict")
    with pytest.raises(RefusedError, match="no verdict"):
        run(tmp_path, "Error: broken", mode="strict", code=1)
    assert run(tmp_path, json.dumps([message("Warning")]), mode="strict").status == "pass"


def test_without_istioctl_it_cannot_tell() -> None:
    check = Analysis(cluster_with(), Context(), mode="warn", istioctl="")
    check(plan(Item(obj("VirtualService"), action="created")))
    assert check.as_result() == {
        "check": "analyze",
        "status": "cannot tell",
        "reason": "there is no istioctl (mesh_istioctl_path)",
        "findings": [],
    }


def test_the_merged_set_is_what_will_be(tmp_path: Path) -> None:
    cluster = cluster_with(
        obj("VirtualService", spec={"hosts": ["old"]}),
        obj("VirtualService", "gone"),
        obj("VirtualService", "other"),
        obj("Pod", spec={"containers": [{"env": ["SECRET"]}], "serviceAccountName": "api"}),
    )
    context = Context(environment={"PATH": "/usr/bin:/bin"})
    check = Analysis(cluster, context, mode="warn", istioctl=analyzer(tmp_path, "[]"))
    check(
        plan(
            Item(obj("VirtualService", spec={"hosts": ["new"]}), action="updated"),
            Item(obj("VirtualService", "gone"), action="deleted"),
        )
    )
    assert check.status == "pass"
    sent = (tmp_path / "input").read_text()
    names = [json.loads(part)["metadata"]["name"] for part in sent.split("\n---\n")]
    assert sorted(names) == ["a", "a", "other"]
    assert '"new"' in sent
    assert '"old"' not in sent
    assert "managedFields" not in sent
    assert "SECRET" not in sent


def test_rights_in_namespaces_are_enough(tmp_path: Path) -> None:
    cluster = cluster_with(obj("VirtualService", "other"), only_namespaces=True)
    run(tmp_path, "[]", cluster=cluster)
    kinds = [json.loads(part)["kind"] for part in (tmp_path / "input").read_text().split("\n---\n")]
    assert sorted(kinds) == ["Namespace", "VirtualService", "VirtualService"]


@pytest.mark.parametrize("part", ["everywhere", "of the whole cluster"])
def test_lists_that_fail_are_no_verdict(tmp_path: Path, part: str) -> None:
    """A failure is no missing right: what namespaces would answer stands for no whole cluster."""
    cluster = cluster_with()
    cluster.fail("list", how=500, times=99, when=lambda call: part == "everywhere" or call.namespace is None)
    check = run(tmp_path, "[]", cluster=cluster)
    assert check.status == "cannot tell"
    assert check.warnings == [f"istioctl analyze: cannot tell: {check.reason}"]


def test_istioctl_is_asked_offline_and_by_name(tmp_path: Path) -> None:
    run(tmp_path, "[]")
    names = (
        "auth.AuthorizationPoliciesAnalyzer",
        "deprecation.DeprecationAnalyzer",
        "destinationrule.CaCertificateAnalyzer",
        "destinationrule.SubsetSelectPodAnalyzer",
        "envoyfilter.EnvoyPatchAnalyzer",
        "gateway.ConflictingGatewayAnalyzer",
        "gateway.IngressGatewayPortAnalyzer",
        "serviceentry.Analyzer",
        "sidecar.SelectorAnalyzer",
        "telemetry.DefaultSelectorAnalyzer",
        "telemetry.SelectorAnalyzer",
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        "virtualservice.DestinationHostAnalyzer",
        "virtualservice.DestinationRuleAnalyzer",
        "virtualservice.GatewayAnalyzer",
    )
    assert (tmp_path / "arguments").read_text().split() == [
        *["analyze", "--use-kube=false", "--all-namespaces", "-o", "json"],
        *[part for name in names for part in ("--analyzer", name)],
        "-",
    ]


def test_surroundings_are_listed_and_pods_are_lean(tmp_path: Path) -> None:
    named, default = obj("Pod", "a", spec={"serviceAccountName": "api"}, status={"x": 1}), obj("Pod", "b")
    cluster = cluster_with(named, default)
    run(tmp_path, "[]", cluster=cluster)
    sent = [json.loads(part) for part in (tmp_path / "input").read_text().split("\n---\n")]
    pods = {item["metadata"]["name"]: item for item in sent if item["kind"] == "Pod"}
    assert pods["a"]["spec"] == {"serviceAccountName": "api"}
    assert pods["b"]["spec"] == {"serviceAccountName": "default"}
    assert "status" not in pods["a"]
    assert [call.kind for call in cluster.calls if call.verb == "list"] == [
        "Namespace",
        "Service",
        "Pod",
        "ServiceEntry",
        "Gateway",
        "DestinationRule",
        "VirtualService",
        "Sidecar",
        "EnvoyFilter",
        "PeerAuthentication",
        "AuthorizationPolicy",
        "Telemetry",
    ]


def test_off_says_nothing(tmp_path: Path) -> None:
    check = Analysis(cluster_with(), Context(), mode="off", istioctl="/nowhere")
    check(plan(Item(obj("VirtualService"), action="created")))
    assert check.as_result() == {
        "check": "analyze",
        "status": "off",
        "reason": "nothing would change",
        "findings": [],
    }


def test_messages_are_in_order_and_only_once() -> None:
    rows = [
        message("Warning", "VirtualService shop/b"),
        message("Warning"),
        message("Error", "VirtualService shop/b"),
        message("Error", "VirtualService shop/b"),
    ]
    found = parse_messages(json.dumps(rows), ["VirtualService shop/a", "VirtualService shop/b"])
    assert [(item.level, item.origin) for item in found] == [
        ("Error", "VirtualService shop/b"),
        ("Warning", "VirtualService shop/a"),
        ("Warning", "VirtualService shop/b"),
    ]
    assert parse_messages("null", []) == []
    for broken in ('[{"code": 1}]', '{"code": 1}', "[7]"):
        with pytest.raises(MeshError, match="list of messages"):
            parse_messages(broken, [])


# -- STRICT ------------------------------------------------------------------------------------------------


def policy(mode: str, name: str = "default", **ports: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if ports:
        spec |= {"portLevelMtls": {port[1:]: {"mode": value} for port, value in ports.items()}}
        spec["selector"] = {"matchLabels": {"app": "api"}}
    return obj("PeerAuthentication", name, spec=spec)


def tightened(items: list[Item], *live: dict[str, Any]) -> list[str]:
    return PeerModes(items, live, "istio-system").tightened()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Item(policy("STRICT"), None, action="created"), ["shop"]),
        (Item(policy("STRICT"), policy("PERMISSIVE"), action="updated"), ["shop"]),
        (Item(policy("STRICT"), policy("STRICT"), action="adopted"), []),
        (Item(policy("PERMISSIVE"), policy("STRICT"), action="updated"), []),
        (Item(policy("STRICT"), policy("STRICT"), action="unchanged"), []),
        (Item(policy("STRICT"), policy("STRICT"), action="deleted"), []),
        (Item(policy("PERMISSIVE", p9100="STRICT"), policy("PERMISSIVE"), action="updated"), ["shop"]),
        (Item(obj("VirtualService"), None, action="created"), []),
    ],
)
def test_only_changes_towards_strict_are_looked_at(item: Item, expected: list[str]) -> None:
    assert tightened([item]) == expected


def test_other_kinds_are_no_policies() -> None:
    other = obj("VirtualService", spec={"mtls": {"mode": "STRICT"}})
    assert tightened([Item(other, None, action="updated")]) == []


STAYS_STRICT = Item(policy("STRICT"), policy("STRICT"), action="unchanged")
STAYS_OPEN = Item(policy("PERMISSIVE"), policy("PERMISSIVE"), action="unchanged")
EXCEPTION = policy("PERMISSIVE", "api", p9100="PERMISSIVE")


@pytest.mark.parametrize(
    ("namespace", "item", "expected"),
    [
        # An exception that goes, or loses a port, leaves STRICT behind.
        (STAYS_STRICT, Item(EXCEPTION, EXCEPTION, action="deleted"), ["shop"]),
        (STAYS_STRICT, Item(policy("STRICT", "api", p80="DISABLE"), EXCEPTION, action="updated"), ["shop"]),
        (STAYS_STRICT, Item(policy("UNSET", "api", p80="DISABLE"), EXCEPTION, action="updated"), ["shop"]),
        (STAYS_OPEN, Item(EXCEPTION, EXCEPTION, action="deleted"), []),
        # A new exception makes nothing stricter where all is STRICT already.
        (STAYS_STRICT, Item(policy("STRICT", "api", p80="DISABLE"), None, action="created"), []),
        (STAYS_OPEN, Item(policy("STRICT", "api", p80="DISABLE"), None, action="created"), ["shop"]),
        (STAYS_OPEN, Item(policy("PERMISSIVE", "api", p80="STRICT"), EXCEPTION, action="updated"), ["shop"]),
        (STAYS_STRICT, Item(policy("PERMISSIVE", "api", p80="STRICT"), None, action="created"), []),
        (STAYS_STRICT, Item(EXCEPTION, EXCEPTION, action="held by run 1"), []),
    ],
)
def test_exceptions_are_weighed_against_their_namespace(
    namespace: Item, item: Item, expected: list[str]
) -> None:
    assert tightened([namespace, item]) == expected


def dated(policy_: dict[str, Any], day: int, namespace: str = "shop") -> dict[str, Any]:
    dates = {"creationTimestamp": f"2026-01-0{day}T00:00:00Z", "namespace": namespace}
    return {**policy_, "metadata": {**policy_["metadata"], **dates}}


NEW_STRICT = Item(policy("STRICT"), None, action="created")
OF_MESH = Item(dated(policy("STRICT"), 1, "istio-system"), None, action="created")
IN_SHOP = Item({**obj("VirtualService", "x"), "spec": {}}, None, action="unchanged")


@pytest.mark.parametrize(
    ("items", "live", "expected"),
    [
        # Somebody's older object of the namespace decides, and ours counts nowhere.
        ([NEW_STRICT], [dated(policy("PERMISSIVE", "theirs"), 1)], []),
        ([NEW_STRICT], [dated(policy("STRICT", "theirs"), 1)], []),
        ([NEW_STRICT], [dated(policy("PERMISSIVE"), 1, "other")], ["shop"]),
        # The mesh's mode is in force already, or comes with the run and is for all of its namespaces.
        ([NEW_STRICT], [dated(policy("STRICT"), 1, "istio-system")], []),
        ([OF_MESH, IN_SHOP], [], ["istio-system", "shop"]),
        ([OF_MESH, IN_SHOP], [dated(policy("PERMISSIVE"), 1)], ["istio-system"]),
        # What is only for workloads elsewhere stays as it is.
        ([NEW_STRICT], [dated(policy("DISABLE", "theirs", p80="STRICT"), 1)], ["shop"]),
        ([STAYS_STRICT, Item(EXCEPTION, EXCEPTION, action="deleted")], [dated(EXCEPTION, 2)], ["shop"]),
        (
            [STAYS_STRICT, Item(EXCEPTION, EXCEPTION, action="deleted")],
            [dated(policy("DISABLE", "theirs", p80="DISABLE"), 1)],
            [],
        ),
    ],
)
def test_what_others_wrote_decides_too(
    items: list[Item], live: list[dict[str, Any]], expected: list[str]
) -> None:
    ours = [Item(item.desired, item.before and dated(item.before, 3), action=item.action) for item in items]
    assert tightened(ours, *live) == expected


NOW = 100_000.0
HOUR = 3600.0


class Metrics:
    """Prometheus behind the API server: answers with series of requests, or fails."""

    def __init__(self, series: Any, of: str = "requests_total") -> None:
        self.series, self.queries, self.of = series, [], of

    def service_proxy_get(self, _namespace: str, _service: str, _port: Any, _path: str, **more: Any) -> Any:
        self.queries.append(more["query"]["query"])
        if isinstance(self.series, Exception):
            raise self.series
        if self.queries[-1].startswith("count("):
            known = [{"metric": {}, "value": [NOW, "7"]}] if self.series else []
            return {"status": "success", "data": {"resultType": "vector", "result": known}}
        series = self.series if self.of in self.queries[-1] else []
        result = [{"metric": dict(labels), "values": points} for labels, points in series]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Clock(SystemClock):
    def now(self) -> float:
        return NOW


def guard(
    series: Any, mode: str = "refuse", *objects: dict[str, Any]
) -> tuple[StrictGuard, Metrics, list[str]]:
    metrics, warnings = Metrics(series), []
    cluster: Any = cluster_with(*objects)
    cluster.service_proxy_get = metrics.service_proxy_get
    options = MeshOptions(
        ApplyOptions(),
        strict_guard=mode,
        strict_guard_window=HOUR,
        prometheus=prometheus_at("istio-system/prometheus"),
    )
    return StrictGuard(cluster, Context(warn=warnings.append, clock=Clock()), options), metrics, warnings


STRICTER = plan(Item(policy("STRICT"), None, action="created"))
LEGACY = (("destination_workload", "api-v1"), ("source_workload", "legacy"))
CALLER = (LEGACY, [(NOW - 2000, 5.0), (NOW - 30, 6.0)])
SILENT = ((("destination_workload", "api-v1"),), [(NOW - 3700, 5.0), (NOW - 10, 5.0)])


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(-4000, 5.0), (-30, 6.0)], True),
        ([(-4000, 5.0), (-30, 5.0)], False),
        ([(-4000, 5.0), (-3800, 6.0), (-30, 6.0)], False),  # before the window
        ([(-4000, 5.0), (-3600, 6.0)], False),
        ([(-4000, 5.0), (-3599, 6.0)], True),
        ([(-3599, 1.0), (-30, 1.0)], True),  # one call, by a new series
        ([(-3600, 1.0), (-30, 1.0)], False),
        ([(-3599, 0.0), (-30, 0.0)], False),
        ([(-30, 1.0)], True),
        ([(-3700, 9.0)], False),
        ([(-3700, 9.0), (-60, 0.0)], False),  # a restart, and no call since
        ([(-3700, 9.0), (-60, 0.0), (-30, 2.0)], True),
        ([(-3700, 9.0), (-60, 2.0)], True),
    ],
)
def test_a_call_in_the_window_is_seen(points: list[tuple[float, float]], expected: bool) -> None:
    assert bool(flow_of([(NOW + at, value) for at, value in points], NOW - HOUR).calls) is expected


@pytest.mark.parametrize("of", ["received_bytes_total", "sent_bytes_total"])
def test_a_connection_from_before_the_window_that_still_says_something_counts(of: str) -> None:
    """Nothing was opened within it: a pool of a database keeps its connections for days."""
    made, metrics, _unused = guard([CALLER])
    metrics.of = of
    with pytest.raises(RefusedError, match="legacy calls shop/api-v1 without mTLS"):
        made(STRICTER)


def test_recent_callers_without_certificate_stop_the_change() -> None:
    made, metrics, _unused = guard([CALLER, SILENT])
    with pytest.raises(RefusedError, match="legacy calls shop/api-v1 without mTLS") as caught:
        made(STRICTER)
    assert str(caught.value) == (
        "STRICT would cut off: legacy calls shop/api-v1 without mTLS (mesh_strict_guard: warn goes on)"
    )
    assert caught.value.rule == "strict-guard"
    plaintext = (
        '{reporter="destination",connection_security_policy="none",destination_workload_namespace="shop"}'
    )
    assert metrics.queries == [
        f"istio_requests_total{plaintext}[3900s]",
        f"istio_tcp_connections_opened_total{plaintext}[3900s]",
        f"istio_tcp_received_bytes_total{plaintext}[3900s]",
        f"istio_tcp_sent_bytes_total{plaintext}[3900s]",
    ]
    assert made.as_result() == {
        "check": "strict_guard",
        "status": "fail",
        "reason": "",
        "findings": ["legacy calls shop/api-v1 without mTLS"],
        "stated": [],
    }


def excepted(mode: str = "PERMISSIVE", **ports: str) -> dict[str, Any]:
    made = policy(mode)
    levels = {port.removeprefix("p"): {"mode": value} for port, value in ports.items()}
    made["metadata"] |= {"name": "api", "annotations": {"servicemesh.istio/reason": "old clients"}}
    made["spec"] |= {"selector": {"matchLabels": {"app": "api"}}}
    made["spec"] |= {"portLevelMtls": levels} if levels else {}
    return made


API_POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "api-v1-59c-x",
        "namespace": "shop",
        "labels": {"app": "api", "pod-template-hash": "59c"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "api-v1-59c", "controller": True}],
    },
}


@pytest.mark.parametrize(
    ("exception", "cut_off"),
    [
        (excepted(), False),
        (excepted("DISABLE"), False),
        (excepted(p3000="PERMISSIVE"), False),
        (excepted(p3000="UNSET"), False),
        (excepted(p3000="STRICT"), True),
        (excepted("STRICT", p9100="PERMISSIVE"), True),
        (excepted() | {"metadata": excepted()["metadata"] | {"namespace": "other"}}, True),
    ],
)
def test_who_calls_what_stays_open_with_a_reason_is_told_and_not_cut_off(
    exception: dict[str, Any], cut_off: bool
) -> None:
    made, _unused, warnings = guard([CALLER], "warn", API_POD)
    made(plan(Item(policy("STRICT"), None, action="created"), Item(exception, None, action="created")))
    sentence = "legacy calls shop/api-v1 without mTLS"
    assert made.findings == ([sentence] if cut_off else [])
    told = [] if cut_off else [f"stated opening: {sentence}, which stays open: old clients"]
    assert made.stated == told
    assert made.status == ("fail" if cut_off else "pass")
    assert bool(warnings) is cut_off


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ({"kind": "ReplicaSet", "name": "api-v1-59c", "controller": True}, "api-v1"),
        ({"kind": "StatefulSet", "name": "db", "controller": True}, "db"),
        ({"kind": "ReplicaSet", "name": "bare", "controller": True}, "bare"),
        ({"kind": "Node", "name": "n"}, "api-v1-59c-x"),
    ],
)
def test_a_workload_is_called_as_in_metrics(owner: dict[str, Any], name: str) -> None:
    metadata = API_POD["metadata"] | {"ownerReferences": [owner]}
    assert workload_name({"metadata": metadata}) == name


def test_old_callers_do_not() -> None:
    made, _unused, warnings = guard([SILENT])
    made(STRICTER)
    assert (made.status, warnings) == ("pass", [])


def test_warn_lists_them_and_goes_on() -> None:
    made, _unused, warnings = guard([CALLER], mode="warn")
    made(STRICTER)
    assert (made.status, warnings) == ("fail", ["before STRICT: legacy calls shop/api-v1 without mTLS"])


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({}, "somebody outside the mesh calls shop/? without mTLS"),
        ({"source_workload": "unknown"}, "somebody outside the mesh calls shop/? without mTLS"),
        ({"source_principal": "sa/x", "destination_workload": "db"}, "sa/x calls shop/db without mTLS"),
        ({"source_principal": "unknown"}, "somebody outside the mesh calls shop/? without mTLS"),
    ],
)
def test_callers_are_named_as_well_as_can_be(labels: dict[str, str], line: str) -> None:
    made, _unused, _warnings = guard([(tuple(labels.items()), [(NOW - 1, 1.0)])], mode="warn")
    made(STRICTER)
    assert made.findings == [line]


def test_no_metrics_is_not_taken_for_no_callers() -> None:
    made, _unused, warnings = guard(MetricsError("Prometheus did not answer"))
    made(STRICTER)
    assert (made.status, made.findings) == ("cannot tell", [])
    assert warnings == [f"before STRICT: cannot tell who calls shop without mTLS: {made.reason}"]
    assert "Prometheus did not answer" in made.reason


def test_a_prometheus_that_scrapes_no_proxy_knows_no_caller() -> None:
    made, _unused, warnings = guard([])
    made(STRICTER)
    assert (made.status, made.findings) == ("cannot tell", [])
    assert warnings == [
        "before STRICT: cannot tell who calls shop without mTLS: Prometheus has no metrics of proxies at all:"
        " does it scrape them? (mesh_prometheus)"
    ]


def test_of_namespaces_beside_the_run_that_a_policy_of_the_whole_mesh_is_about_it_cannot_tell() -> None:
    made, _unused, warnings = guard([SILENT])
    made(plan(OF_MESH))
    assert (made.status, made.findings) == ("cannot tell", [])
    assert warnings == [
        "before STRICT: cannot tell who calls other namespaces without mTLS: the PeerAuthentication of "
        "istio-system is for all of them, the run is not"
    ]
    made, _unused, warnings = guard([SILENT])
    made(plan(Item(OF_MESH.desired, OF_MESH.desired, action="unchanged"), NEW_STRICT))
    assert (made.status, warnings) == ("pass", [])


def test_without_a_prometheus_it_cannot_tell() -> None:
    cluster: Any = cluster_with()
    made = StrictGuard(cluster, Context(), MeshOptions(ApplyOptions()))
    made(plan(Item(policy("PERMISSIVE"), None, action="created")))
    assert made.status == "pass"
    made(STRICTER)
    assert (made.status, made.reason) == ("cannot tell", "no Prometheus is named (mesh_prometheus)")


def pod(port: str, **annotations: str) -> dict[str, Any]:
    marks = {"prometheus.io/scrape": "true", "prometheus.io/port": port, "sidecar.istio.io/status": "{}"}
    metadata = {
        "name": "api-1",
        "namespace": "shop",
        "labels": {"app": "api"},
        "annotations": {**marks, **annotations},
    }
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "istio-proxy"}]}}


SCRAPED = (
    "shop/api is scraped on port 9100: merge its metrics into the sidecar's or give it "
    "mtls.ports {9100: PERMISSIVE}"
)
NO_SIDECAR = pod("9100")
NO_SIDECAR["spec"]["containers"] = [{"name": "app"}]
NO_APP = pod("9100")
NO_APP["metadata"]["labels"] = {"name": "api"}


@pytest.mark.parametrize(
    ("scraped", "exceptions", "expected"),
    [
        (pod("9100"), [], [SCRAPED]),
        (NO_APP, [], [SCRAPED.replace("shop/api", "shop/api-1")]),
        (NO_SIDECAR, [], []),
        (pod("15020"), [], []),
        (pod("15021"), [], []),
        (pod("15090"), [], []),
        (pod("metrics"), [], []),
        (pod(""), [], []),
        (pod("9100", **{"prometheus.io/scrape": "false"}), [], []),
        (pod("9100", **{"traffic.sidecar.istio.io/excludeInboundPorts": "80,9100"}), [], []),
        (pod("9100", **{"traffic.sidecar.istio.io/excludeInboundPorts": "91000"}), [], [SCRAPED]),
        (pod("9100"), [policy("STRICT", "api", p9100="PERMISSIVE")], []),
        (pod("9100"), [policy("STRICT", "api", p9100="DISABLE")], []),
        (pod("9100"), [policy("STRICT", "api", p9101="PERMISSIVE")], [SCRAPED]),
        (pod("9100"), [policy("PERMISSIVE", "api", p9101="STRICT")], []),  # the whole workload
        (pod("9100"), [policy("PERMISSIVE", "api", p9100="STRICT")], [SCRAPED]),
        (pod("9100"), [policy("STRICT", "api", p9100="UNSET")], [SCRAPED]),  # inherits
        (
            pod("9100"),
            [policy("STRICT", "api", p9101="STRICT"), policy("PERMISSIVE", "z", p1="STRICT")],
            [SCRAPED],
        ),
        (pod("9100", **{"traffic.sidecar.istio.io/includeInboundPorts": "80"}), [], []),
        (NO_APP, [policy("STRICT", "api", p9100="PERMISSIVE")], [SCRAPED.replace("/api ", "/api-1 ")]),
    ],
)
def test_scrapes_of_captured_ports_are_named(
    scraped: dict[str, Any], exceptions: list[dict[str, Any]], expected: list[str]
) -> None:
    items = [NEW_STRICT, *(Item(exception, None, action="created") for exception in exceptions)]
    assert captured_scrapes([scraped, scraped], PeerModes(items, [], "istio-system")) == expected
    gone = [NEW_STRICT, *(Item(exception, exception, action="deleted") for exception in exceptions)]
    alone = captured_scrapes([scraped], PeerModes([NEW_STRICT], [], "istio-system"))
    assert captured_scrapes([scraped], PeerModes(gone, exceptions, "istio-system")) == alone


def test_both_checks_answer_before_the_write(tmp_path: Path) -> None:
    warnings: list[str] = []
    context = Context(warn=warnings.append, environment={"PATH": "/usr/bin:/bin"})
    options = MeshOptions(ApplyOptions(), check="warn", istioctl=analyzer(tmp_path, "[]"))
    client: Any = cluster_with(pod("15020"))
    guarded, analysed = before_write(STRICTER, client, context, options)
    assert guarded["status"] == "cannot tell"
    assert analysed == {"check": "analyze", "status": "pass", "reason": "", "findings": []}
