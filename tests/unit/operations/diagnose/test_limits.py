# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not be read, is malformed, or has only begun: "cannot tell" or nothing, and never a pass."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.causes import slow_callees
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.symptom import Symptom

from ...support.access import Restricted, granted_by
from ...support.certificates import NOW
from .healthy_mesh import API, Healthy, diagnose, istio, line, pod
from .planted import AT_GATEWAY, CALL, NOTHING

HERE = {"ecommerce": "shop"}
ENOUGH, SLOW = slow_callees.ENOUGH, slow_callees.SLOW


@pytest.mark.parametrize("symptom", [NOTHING, CALL, AT_GATEWAY, {"pod": "web-1"}], ids=str)
def test_the_rights_of_the_table_are_enough(symptom: dict[str, str]) -> None:
    client = Restricted(Healthy(), granted_by("diagnose.yaml", HERE))
    result = diagnose(client, **symptom)
    others = [
        one for one in result["unknown"] if "outside" not in one["why"] and "kube-system" not in one["why"]
    ]
    assert others == []
    assert result["causes"] == []


def test_with_rights_in_namespaces_alone_it_says_where_it_did_not_look() -> None:
    granted = {one for one in granted_by("diagnose.yaml", HERE) if one.namespace}
    result = diagnose(Restricted(Healthy(), granted), **CALL)
    assert result["status"] == "cannot tell"
    assert {"gateway", "routing", "injection"} <= {one["family"] for one in result["unknown"]}


KINDS = {
    "Gateway": "gateways",
    "VirtualService": "time limits",
    "DestinationRule": "circuit breakers",
    "AuthorizationPolicy": "policies",
    "PeerAuthentication": "transport",
    "ServiceEntry": "hosts outside",
    "Sidecar": "hidden hosts",
    "Service": "services without endpoints",
    "Deployment": "refused pods",
    "MutatingWebhookConfiguration": "injectors",
    "Secret": "credentials of gateways",
    "EnvoyFilter": "refused configurations",
    "RequestAuthentication": "providers",
    "ConfigMap": "providers",
    "Namespace": "pods without a proxy",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_may_not_be_read_is_told_with_what_hangs_on_it(kind: str) -> None:
    cluster = Healthy()
    cluster.forbidden = {kind}
    result = diagnose(cluster, **NOTHING)
    assert result["status"] == "cannot tell"
    assert KINDS[kind] in {one["what"] for one in result["unknown"]}
    assert result["causes"] == [], "what was not read is no cause either"


def test_proxies_and_logs_that_may_not_be_read_are_told() -> None:
    cluster = Healthy()
    cluster.fail("ask", "Pod", 403, times=99)
    cluster.fail("logs", "Pod", 403, times=99)
    result = diagnose(cluster, **CALL)
    told = {one["what"] for one in result["unknown"]}
    assert {"Pod shop/web-1", "slow callees", "refused configurations"} <= told
    assert result["status"] == "cannot tell"


@pytest.mark.parametrize("verb", ["ask", "logs"])
def test_of_a_pod_that_has_ended_meanwhile_nothing_is_missed(verb: str) -> None:
    """A rollout between the list of pods and the questions to their proxies."""
    cluster = Healthy()

    def ended(call: Any) -> bool:
        gone = call.verb == verb and call.name == "web-1"
        if gone and "deletionTimestamp" not in cluster.edit("Pod", "web-1")["metadata"]:
            cluster.edit("Pod", "web-1")["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
        return gone

    cluster.fail(verb, "Pod", 404, times=99, when=ended)
    result = diagnose(cluster, **CALL)
    assert (result["causes"], result["unknown"], result["status"]) == ([], [], "pass")


def test_whether_a_silent_pod_has_ended_is_not_guessed() -> None:
    def silent(status: int) -> Healthy:
        cluster = Healthy()
        cluster.fail("ask", "Pod", 500, times=99, when=lambda call: call.name == "web-1")
        cluster.fail("get", "Pod", status, when=lambda call: call.name == "web-1")
        return cluster

    assert "Pod shop/web-1" in {one["what"] for one in diagnose(silent(403), **CALL)["unknown"]}
    with pytest.raises(ApiError):
        diagnose(silent(500), **CALL)


def test_a_server_that_does_not_answer_is_an_error() -> None:
    cluster = Healthy()
    cluster.fail("list", "VirtualService", 500)
    with pytest.raises(ApiError):
        diagnose(cluster)


def test_an_istiod_that_is_silent_about_itself_is_told() -> None:
    cluster = Healthy()
    answer = cluster.on_ask
    assert answer is not None

    def silent(namespace: str, name: str, port: int, path: str) -> Any:
        if port == 15014:
            return PodAnswer(503, "connection refused")
        return answer(namespace, name, port, path)

    cluster.on_ask = silent
    result = diagnose(cluster)
    assert result["status"] == "cannot tell"
    assert "istiod" in str(result["unknown"])


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("VirtualService", {"hosts": ["api"], "http": "all"}),
        ("DestinationRule", {"host": "api", "subsets": {"v1": {}}}),
        ("Gateway", {"selector": {"istio": "ingressgateway"}, "servers": [1]}),
        ("ServiceEntry", {"hosts": "pay.example.org"}),
    ],
)
def test_an_object_of_another_shape_is_an_error_with_its_name_or_cannot_tell(kind: str, spec: Any) -> None:
    cluster = Healthy()
    cluster.put(istio(kind, "odd", spec))
    try:
        result = diagnose(cluster, **CALL)
    except Exception as error:
        assert f"{kind} shop/odd" in str(error)
    else:
        assert result["status"] != "pass"
        assert f"{kind} shop/odd" in str(result["unknown"])


def young(cluster: Healthy, name: str, seconds: int, **more: Any) -> None:
    made = pod(name, ready=False, **more)
    born = NOW - datetime.timedelta(seconds=seconds)
    made["metadata"]["creationTimestamp"] = born.strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.put(made)


def test_a_pod_that_has_only_begun_is_no_cause() -> None:
    cluster = Healthy()
    young(cluster, "web-2", 10)
    cluster.lost.add("web-2")
    assert diagnose(cluster)["causes"] == []
    young(cluster, "web-2", 3600)
    assert diagnose(cluster, pod="web-2")["status"] == "fail"


@pytest.mark.parametrize(
    ("number", "duration", "begun", "told"),
    [
        (ENOUGH, SLOW, "11:55:00", True),
        (ENOUGH, SLOW, "11:54:59", False),  # what an access log says of longer ago is no sign of now
        (ENOUGH, SLOW - 1, "11:59:59", False),
        (ENOUGH - 1, SLOW, "11:59:59", False),
    ],
)
def test_a_slow_callee_is_one_that_was_slow_often_and_lately(
    number: int, duration: int, begun: str, *, told: bool
) -> None:
    cluster = Healthy()
    slow = line(200, cluster="inbound|3000||", duration=duration).replace("11:59:59", begun)
    cluster.log("api-1", *[slow] * number)
    found = [one["cause"] for one in diagnose(cluster, **CALL)["causes"]]
    assert [one.startswith("answers slowly itself") for one in found] == [True] * told


def test_a_pool_that_no_caller_goes_by_is_no_cause() -> None:
    def limiting(cluster: Healthy) -> list[str]:
        causes = diagnose(cluster, **CALL)["causes"]
        return [one["object"] for one in causes if one["cause"].startswith("limits the connections")]

    tight = {"connectionPool": {"tcp": {"maxConnections": 1}}}
    cluster = Healthy()
    spec = {"host": API, "exportTo": ["."], "trafficPolicy": tight}
    cluster.put(istio("DestinationRule", "theirs", spec, "outside"))
    assert limiting(cluster) == []
    cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = tight
    assert limiting(cluster) == ["DestinationRule shop/api"]


def test_what_is_gone_in_the_second_look_is_no_cause() -> None:
    """A proxy that had not found its istiod yet, and has."""
    cluster = Healthy()
    cluster.lost.add("web-1")
    answer = cluster.on_ask
    assert answer is not None
    looks: list[str] = []

    def connected_at_last(namespace: str, name: str, port: int, path: str) -> Any:
        if path == "/debug/syncz":
            looks.append(name)
            if len(looks) == 2:
                cluster.lost.clear()
        return answer(namespace, name, port, path)

    cluster.on_ask = connected_at_last
    assert diagnose(cluster)["causes"] == []
    assert len(looks) == 2


@pytest.mark.parametrize("named", ["source", "destination", "host", "pod"])
def test_whoever_names_one_thing_observes_something(named: str) -> None:
    assert not Symptom(**{named: "api"}).anything
    assert Symptom(namespace="shop", method="POST").anything


def test_possibilities_are_told_to_whoever_observes_something() -> None:
    cluster = Healthy()
    cluster.edit("Service", "api")["spec"]["ports"][0]["name"] = "web"
    assert diagnose(cluster)["causes"] == []
    result = diagnose(cluster, **CALL)
    assert [one["likelihood"] for one in result["causes"]] == ["possible"]
    assert (result["status"], result["cause"]) == ("cannot tell", "")


def test_traffic_makes_a_cause_surer() -> None:
    """Of two causes, the one that the access log shows comes first."""
    cluster = Healthy()
    cluster.edit("VirtualService", "api")["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v9"
    cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = {"tls": {"mode": "DISABLE"}}
    assert diagnose(cluster, **CALL)["causes"][0]["family"] == "routing"
    cluster.log("web-1", line(503, "UF", failure="TLS_error:CERTIFICATE"))
    assert diagnose(cluster, **CALL)["causes"][0]["family"] == "security"


@pytest.mark.parametrize(
    ("symptom", "words"),
    [
        ({"hostname": "https://x.example.com"}, "no scheme, no path"),
        ({"hostname": "x.example.com/a"}, "no scheme, no path"),
        ({"hostname": "x", "destination": "api"}, "give one of them"),
        ({"source": "a/b/c"}, "give name or namespace/name"),
        ({"path": "orders"}, "does not begin with /"),
        ({"source": "nobody"}, "no Service, workload or pod is called shop/nobody"),
        ({"pod": "web"}, ""),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(symptom: dict[str, str], words: str) -> None:
    if not words:
        assert diagnose(Healthy(), **symptom)["status"] == "pass"
        return
    with pytest.raises(InputError, match=words):
        diagnose(Healthy(), **symptom)


def test_results_are_lines_for_people_too() -> None:
    cluster, lines = Healthy(), []
    cluster.edit("Service", "api")["spec"]["selector"] = {"app": "none"}
    diagnose(cluster, lines, **CALL)
    assert lines[0].startswith(" 1. routing")
    assert any(one.strip().startswith("mend") for one in lines)


@pytest.mark.parametrize(("seconds", "told"), [(120, False), (121, True)])
def test_a_cloud_may_take_two_minutes_to_give_an_address(seconds: int, *, told: bool) -> None:
    cluster = Healthy()
    service = cluster.edit("Service", "istio-ingressgateway", "istio-system")
    service["spec"]["type"] = "LoadBalancer"
    born = NOW - datetime.timedelta(seconds=seconds)
    service["metadata"]["creationTimestamp"] = born.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = [one["cause"] for one in diagnose(cluster, **AT_GATEWAY)["causes"]]
    assert [one.startswith("waits for an address") for one in found] == [True] * told


@pytest.mark.parametrize(("later", "told"), [(399, True), (400, False)])
def test_the_last_four_hundred_lines_of_an_access_log_are_read(later: int, *, told: bool) -> None:
    cluster = Healthy()
    cluster.log("web-1", line(502, "UPE"), *[line(200)] * later)
    found = [one["cause"] for one in diagnose(cluster, **CALL)["causes"]]
    assert any("what is spoken there is something else" in one for one in found) is told
