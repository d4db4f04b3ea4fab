"""Who is let in and who no longer: told before a write, and refused where that was asked for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh import access

from ...support.catalogues import minimal
from ..verify.builders import pod
from .test_apply import Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(monkeypatch)
    made()
    made.lines.clear()
    return made


def with_caller(**edge: Any) -> dict[str, Any]:
    raw = copy.deepcopy(minimal())
    raw["mesh_services"][0]["callers"] = [
        {"service": "api", "methods": ["POST"], "paths": ["/refunds"], **edge}
    ]
    return raw


TOLD = "opens: shop/api -> shop/web POST /refunds on port 3000, by AuthorizationPolicy shop/web"


def test_a_new_caller_is_told_as_the_one_cell_that_flips(run: Run) -> None:
    result = run(with_caller())
    assert TOLD in run.lines
    (entry,) = result["access"]
    assert entry == {
        "kind": "opens",
        "service": "shop/web",
        "caller": "shop/api",
        "request": "POST /refunds on port 3000",
        "policy": "AuthorizationPolicy shop/web",
        "cells": 1,
    }


def test_an_unchanged_mesh_and_a_change_of_something_else_tell_nothing(run: Run) -> None:
    assert run()["access"] == []
    raw = minimal()
    raw["mesh_services"][1]["timeout"] = "7s"
    assert run(raw)["access"] == []


def test_what_closes_is_told_with_the_policy_that_let_it_in(run: Run) -> None:
    run(with_caller())
    run.lines.clear()
    (entry,) = run()["access"]
    assert (entry["kind"], entry["caller"], entry["policy"]) == (
        "closes",
        "shop/api",
        "AuthorizationPolicy shop/web",
    )


def test_a_run_that_opens_something_can_be_refused_before_the_first_write(run: Run) -> None:
    run.cluster.writes.clear()
    with pytest.raises(RefusedError, match=f"the run {TOLD}.*mesh_access_guard: tell goes on"):
        run(with_caller(), access_guard="refuse")
    assert run.cluster.writes == []
    assert run(access_guard="refuse")["changed"] is False
    closing = copy.deepcopy(minimal())
    closing["mesh_services"][1]["callers"] = []
    assert {entry["kind"] for entry in run(closing, access_guard="refuse")["access"]} == {"closes"}


def test_what_opens_is_told_first_and_above_ten_changes_the_rest_is_counted(run: Run) -> None:
    def told() -> list[str]:
        return [line for line in run.lines if line.startswith(("opens: ", "closes: ", "... and "))]

    raw = with_caller()
    raw["mesh_services"][1]["callers"] = []
    found = [(entry["kind"], entry["service"]) for entry in run(raw)["access"]]
    assert found == [("opens", "shop/web"), *[("closes", "shop/api")] * (len(found) - 1)]
    assert len(found) > 1
    assert (told()[0], len(told())) == (TOLD, len(found))
    run.patch.setattr(access, "TOLD", 1)
    run.lines.clear()
    run()
    assert told()[1:] == [f"... and {len(found) - 1} more changes of who may call whom"]


def test_a_policy_of_somebody_else_that_already_opens_hides_the_change(run: Run) -> None:
    everyone = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "everyone", "namespace": "shop"},
        "spec": {"rules": [{}]},
    }
    run.cluster.put(everyone)
    assert run(with_caller())["access"] == []


def team_policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "team", "namespace": "shop"},
        "spec": spec,
    }


def test_who_shows_a_token_is_tried(run: Run) -> None:
    """A team's file lets whoever shows one in; without one nothing changes, and nothing was told."""
    source = {"requestPrincipals": ["https://id.example.com/*"]}
    with pytest.raises(RefusedError, match=r"opens: any account of .* -> shop/api .* with a token"):
        run(None, team_policy(rules=[{"from": [{"source": source}]}]), access_guard="refuse")


def test_a_port_that_a_policy_alone_names_is_tried(run: Run) -> None:
    rules = [{"to": [{"operation": {"ports": ["9090"]}}]}]
    (entry, *_more) = run(None, team_policy(selector={"matchLabels": {"app": "web"}}, rules=rules))["access"]
    assert (entry["kind"], entry["service"]) == ("opens", "shop/web")
    assert entry["request"].endswith("on port 9090")


def test_conditions_that_are_too_many_are_told(run: Run) -> None:
    condition = [{"key": f"request.headers[x-{number}]", "values": ["a"]} for number in range(30)]
    run(None, team_policy(rules=[{"when": condition}]))
    told = "cannot tell all that the run opens: shop/web has too many conditions to try each with each other"
    assert told in run.warnings


def test_workloads_that_the_catalogue_leaves_behind_lose_what_keeps_others_out(run: Run) -> None:
    raw = copy.deepcopy(minimal())
    callers = [{"service": "web", "namespace": "shop"}]
    old = {**raw["mesh_services"][1], "name": "old", "namespace": "legacy", "callers": callers}
    raw["mesh_services"].append(old)
    run.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "legacy"}})
    run(raw)
    running = pod("old-1", {"app": "old"})
    running["metadata"]["namespace"] = "legacy"
    run.cluster.put(running)
    entries = run(prune=True)["access"]
    assert ("opens", "legacy/old-1", "") in {(one["kind"], one["service"], one["policy"]) for one in entries}
    run(raw)
    run.cluster.remove("Pod", "old-1", "legacy")
    assert run(prune=True)["access"] == []


def test_who_may_leave_by_the_egress_gateway_is_told_by_host(run: Run) -> None:
    raw = minimal(
        istio_gateways=[{"name": "istio-ingressgateway"}, {"name": "istio-egressgateway", "egress": True}],
        mesh_egress_gateway={"workload": "istio-egressgateway", "port": 8443},
    )
    bank = {"name": "bank", "hosts": ["bank.example.com"], "ports": [{"number": 80, "protocol": "HTTP"}]}
    raw["mesh_external_services"] = [{**bank, "callers": ["web"], "via": "egress_gateway"}]
    run.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    run(raw)
    raw["mesh_external_services"][0]["callers"] = ["web", "api"]
    with pytest.raises(RefusedError, match=r"opens: shop/api -> .*/istio-egressgateway .* to bank\.example"):
        run(raw, access_guard="refuse")
    assert run(raw)["access"]
    del raw["mesh_external_services"]
    assert run(raw, access_guard="refuse", prune=True)["changed"]
