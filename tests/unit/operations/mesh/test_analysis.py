"""What is said before the first write: istioctl's analyzers, and who STRICT would cut off."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, Plan
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.analysis import (
    Analysis,
    before_write,
    parse_messages,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.strict_guard import (
    StrictGuard,
    captured_scrapes,
    prometheus_at,
    tightened_namespaces,
)


class Cluster:
    """Lists what it is given by kind; forbids cluster-wide lists on request."""

    def __init__(self, *objects: dict[str, Any], only_namespaces: bool = False) -> None:
        self.objects, self.only_namespaces = objects, only_namespaces

    def list(self, _version: str, kind: str, namespace: str | None = None) -> Any:
        if self.only_namespaces and namespace is None:
            raise ApiError("forbidden", status=403, reason="Forbidden")
        found = [obj for obj in self.objects if obj["kind"] == kind]
        return SimpleNamespace(
            items=[obj for obj in found if namespace in (None, obj["metadata"].get("namespace"))]
        )

    def in_parallel(self, function: Any, items: Any) -> list[Any]:
        return [function(item) for item in items]


def obj(kind: str, name: str = "a", **more: Any) -> dict[str, Any]:
    versions = {"VirtualService": "networking.istio.io/v1", "PeerAuthentication": "security.istio.io/v1"}
    metadata = {"name": name, "namespace": "shop", "managedFields": [{"manager": "x"}]}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def plan(*items: Item) -> Plan:
    return Plan(list(items), Live())


def analyzer(tmp_path: Path, answer: str, code: int = 0) -> str:
    """A program that keeps its input and answers."""
    program = tmp_path / "istioctl"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/input\ncat <<'EOF'\n{answer}\nEOF\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def message(level: str, origin: str = "VirtualService shop/a") -> dict[str, str]:
    return {"code": "IST0101", "level": level, "origin": origin, "message": "not found"}


def run(
    tmp_path: Path, answer: str, *, mode: str = "warn", code: int = 0, cluster: Cluster | None = None
) -> Analysis:
    warnings: list[str] = []
    context = Context(warn=warnings.append, environment={"PATH": "/usr/bin:/bin"})
    check = Analysis(cluster or Cluster(), context, mode=mode, istioctl=analyzer(tmp_path, answer, code))  # type: ignore[arg-type]
    check(plan(Item(obj("VirtualService"), action="created")))
    check.warnings = warnings  # type: ignore[attr-defined]
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
    assert parse_messages("", []) == []
    with pytest.raises(MeshError, match="list of messages"):
        parse_messages("oops", [])


def test_warn_reports_and_goes_on(tmp_path: Path) -> None:
    check = run(tmp_path, json.dumps([message("Error")]))
    assert check.status == "fail"
    assert check.warnings == ["istioctl analyze: Error IST0101 VirtualService shop/a: not found"]  # type: ignore[attr-defined]


def test_strict_refuses_errors_and_silence_but_not_warnings(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="refused before the first write: Error IST0101"):
        run(tmp_path, json.dumps([message("Error")]), mode="strict")
    with pytest.raises(RefusedError, match="no verdict"):
        run(tmp_path, "Error: broken", mode="strict", code=1)
    assert run(tmp_path, json.dumps([message("Warning")]), mode="strict").status == "pass"


def test_without_istioctl_it_cannot_tell() -> None:
    check = Analysis(Cluster(), Context(), mode="warn", istioctl="")  # type: ignore[arg-type]
    check(plan(Item(obj("VirtualService"), action="created")))
    assert check.as_result() == {
        "check": "analyze",
        "status": "cannot tell",
        "reason": "there is no istioctl (mesh_istioctl_path)",
        "findings": [],
    }


def test_the_merged_set_is_what_will_be(tmp_path: Path) -> None:
    cluster = Cluster(
        obj("VirtualService", spec={"hosts": ["old"]}),
        obj("VirtualService", "gone"),
        obj("VirtualService", "other"),
        obj("Pod", spec={"containers": [{"env": ["SECRET"]}], "serviceAccountName": "api"}),
    )
    context = Context(environment={"PATH": "/usr/bin:/bin"})
    check = Analysis(cluster, context, mode="warn", istioctl=analyzer(tmp_path, "[]"))  # type: ignore[arg-type]
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
    cluster = Cluster(obj("VirtualService", "other"), only_namespaces=True)
    run(tmp_path, "[]", cluster=cluster)
    kinds = [json.loads(part)["kind"] for part in (tmp_path / "input").read_text().split("\n---\n")]
    assert sorted(kinds) == ["Namespace", "VirtualService", "VirtualService"]


# -- STRICT ------------------------------------------------------------------------------------------------


def policy(mode: str, name: str = "default", **ports: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if ports:
        spec |= {"portLevelMtls": {port[1:]: {"mode": value} for port, value in ports.items()}}
        spec["selector"] = {"matchLabels": {"app": "api"}}
    return obj("PeerAuthentication", name, spec=spec)


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
    assert tightened_namespaces([item]) == expected


class Metrics:
    def __init__(self, series: Any) -> None:
        self.series, self.asked = series, []

    def raw_series(self, selector: str, lookback: float) -> Any:
        self.asked.append((selector, lookback))
        if isinstance(self.series, Exception):
            raise self.series
        return self.series if "requests_total" in selector else []


def guard(series: Any, mode: str = "refuse") -> tuple[StrictGuard, Metrics, list[str]]:
    metrics, warnings = Metrics(series), []
    context = Context(warn=warnings.append)
    made = StrictGuard(Cluster(), context, mode=mode, window="30m", prometheus=metrics)  # type: ignore[arg-type]
    return made, metrics, warnings


STRICTER = plan(Item(policy("STRICT"), None, action="created"))
CALLER = (
    frozenset({("destination_workload", "api-v1"), ("source_workload", "legacy")}),
    [(1.0, 5.0), (2.0, 6.0)],
)
SILENT = (frozenset({("destination_workload", "api-v1")}), [(1.0, 5.0), (2.0, 5.0)])


def test_recent_callers_without_certificate_stop_the_change() -> None:
    made, metrics, _unused = guard([CALLER, SILENT])
    with pytest.raises(RefusedError, match="legacy calls shop/api-v1 without mTLS") as caught:
        made(STRICTER)
    assert caught.value.rule == "strict-guard"
    assert metrics.asked[0][1] == 1800
    assert 'destination_workload_namespace="shop"' in metrics.asked[0][0]


def test_old_callers_do_not() -> None:
    made, _unused, warnings = guard([SILENT])
    made(STRICTER)
    assert (made.status, warnings) == ("pass", [])


def test_warn_lists_them_and_goes_on() -> None:
    made, _unused, warnings = guard([CALLER], mode="warn")
    made(STRICTER)
    assert (made.status, warnings) == ("fail", ["before STRICT: legacy calls shop/api-v1 without mTLS"])


def test_no_metrics_is_not_taken_for_no_callers() -> None:
    made, _unused, warnings = guard(MetricsError("Prometheus did not answer"))
    made(STRICTER)
    assert made.status == "cannot tell"
    assert warnings == ["before STRICT: cannot tell who calls shop without mTLS: Prometheus did not answer"]


def pod(port: str, **annotations: str) -> dict[str, Any]:
    marks = {"prometheus.io/scrape": "true", "prometheus.io/port": port, "sidecar.istio.io/status": "{}"}
    metadata = {
        "name": "api-1",
        "namespace": "shop",
        "labels": {"app": "api"},
        "annotations": {**marks, **annotations},
    }
    return {"kind": "Pod", "metadata": metadata}


def test_scrapes_of_captured_ports_are_named() -> None:
    assert captured_scrapes([pod("9100")], [])[0].startswith("shop/api is scraped on port 9100")
    assert captured_scrapes([pod("15020")], []) == []
    assert (
        captured_scrapes([pod("9100", **{"traffic.sidecar.istio.io/excludeInboundPorts": "9100"})], []) == []
    )
    exception = Item(policy("STRICT", "api", p9100="PERMISSIVE"), None, action="created")
    assert captured_scrapes([pod("9100")], [exception]) == []


def test_prometheus_is_a_url_or_a_service() -> None:
    client: Any = Cluster()
    assert prometheus_at("", client) is None
    assert prometheus_at("https://prometheus.example.com", client)
    assert prometheus_at("istio-system/prometheus:9090", client)
    with pytest.raises(InputError, match="NAMESPACE/SERVICE:PORT"):
        prometheus_at("prometheus", client)


def test_both_checks_answer_before_the_write(tmp_path: Path) -> None:
    warnings: list[str] = []
    context = Context(warn=warnings.append, environment={"PATH": "/usr/bin:/bin"})
    params = {
        "check": "warn",
        "istioctl": analyzer(tmp_path, "[]"),
        "strict_guard": "refuse",
        "prometheus": "",
    }
    client: Any = Cluster(pod("15020"))
    guarded, analysed = before_write(STRICTER, client, context, params)
    assert guarded["status"] == "cannot tell"
    assert analysed == {"check": "analyze", "status": "pass", "reason": "", "findings": []}
