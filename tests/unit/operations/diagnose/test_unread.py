# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis may not read is told as such: in a healthy mesh it is no cause, no pass and no error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError

from ...support.outages import one_call_fails
from .healthy_mesh import Healthy, diagnose
from .planted import AT_GATEWAY, CALL, NOTHING, OUTSIDE

SYMPTOMS = [NOTHING, CALL, AT_GATEWAY, OUTSIDE, {"pod": "shop/web-1"}, {"namespace": "shop"}]
KINDS = {
    "AuthorizationPolicy",
    "ConfigMap",
    "Deployment",
    "DestinationRule",
    "EnvoyFilter",
    "Gateway",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "Namespace",
    "PeerAuthentication",
    "Pod",
    "RequestAuthentication",
    "Secret",
    "Service",
    "ServiceEntry",
    "Sidecar",
    "ValidatingWebhookConfiguration",
    "VirtualService",
}


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=str)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_that_may_not_be_read(kind: str, symptom: dict[str, str]) -> None:
    cluster = Healthy()
    cluster.forbidden.add(kind)
    result = diagnose(cluster, **symptom)
    assert (result["causes"], result["status"]) == ([], "cannot tell")
    assert all(f"{kind} is forbidden" in one["why"] for one in result["unknown"])
    assert result["changed"] is False


class OfOneTeam(Healthy):
    """Whoever asks may see the pods of one namespace alone."""

    def list(self, api_version: str, kind: str, namespace: str | None = None, **more: Any) -> Any:
        if kind == "Pod" and namespace != "shop":
            raise ApiError(f"pods is forbidden in {namespace}", status=403)
        return super().list(api_version, kind, namespace, **more)


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=str)
def test_pods_of_other_namespaces_that_may_not_be_listed_are_not_missing(symptom: dict[str, str]) -> None:
    result = diagnose(OfOneTeam(), **symptom)
    assert (result["causes"], result["status"]) == ([], "cannot tell")
    assert all("pods is forbidden in" in one["why"] for one in result["unknown"])


def test_what_one_team_sees_is_still_found() -> None:
    cluster = OfOneTeam()
    cluster.edit("Service", "api")["spec"]["selector"] = {"app": "other"}
    result = diagnose(cluster, **CALL)
    assert (result["causes"][0]["object"], result["status"]) == ("Service shop/api", "fail")
    assert result["unknown"] != []


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=str)
def test_a_server_that_fails_is_an_error_and_no_missing_right(symptom: dict[str, str]) -> None:
    """Nor is a credential that has ended."""
    for kind, status in (("Deployment", 500), ("VirtualService", 401), ("PeerAuthentication", 500)):
        cluster = Healthy()
        cluster.fail("list", kind, status, times=9)
        with pytest.raises(ApiError) as caught:
            diagnose(cluster, **symptom)
        assert caught.value.status == status


def test_a_secret_that_the_server_cannot_give_is_an_error() -> None:
    cluster = Healthy()
    cluster.fail("get", "Secret", 500, times=9)
    with pytest.raises(ApiError) as caught:
        diagnose(cluster, **AT_GATEWAY)
    assert caught.value.status == 500


@pytest.mark.parametrize("symptom", [NOTHING, AT_GATEWAY], ids=str)
def test_a_failure_at_any_call_is_told_or_ends_it(symptom: dict[str, str]) -> None:
    """In a healthy mesh it is never a cause, and what it hid never passes."""
    for call, cluster in one_call_fails(Healthy, lambda client: diagnose(client, **symptom), 500):
        try:
            result = diagnose(cluster, **symptom)
        except ApiError as error:
            assert error.status == 500, call
            continue
        assert (result["causes"], result["status"]) == ([], "cannot tell"), call
        assert all(f"{call.verb} {call.kind}: internal error" in one["why"] for one in result["unknown"]), (
            call
        )
        assert (call.verb, call.kind) != ("list", "Pod"), "without its pods a mesh cannot be judged"


def answers(path: str, answer: Any) -> Callable[[Healthy], None]:
    """What a pod says when it is asked for a path; an error is raised."""

    def change(cluster: Healthy) -> None:
        before = cluster.on_ask
        assert before is not None

        def answering(namespace: str, pod: str, port: int, asked: str) -> Any:
            if path in asked and (pod.startswith("istiod") or path not in ("/metrics", "syncz")):
                if isinstance(answer, Exception):
                    raise answer
                return answer
            return before(namespace, pod, port, asked)

        cluster.on_ask = answering

    return change


FORBIDDEN = ApiError("pods/portforward is forbidden", status=403)


@pytest.mark.parametrize(
    ("path", "answer", "what"),
    [
        ("/metrics", FORBIDDEN, "istiod's metrics"),
        ("syncz", FORBIDDEN, "istiod"),
        ("clusters", FORBIDDEN, "Pod shop/web-1"),
        ("clusters", "no json", "Pod shop/web-1"),
        ("clusters", "[]", "Pod shop/web-1"),
    ],
)
def test_what_pods_do_not_say(path: str, answer: Any, what: str) -> None:
    cluster = Healthy()
    answers(path, answer)(cluster)
    result = diagnose(cluster, **CALL)
    assert (result["causes"], result["status"]) == ([], "cannot tell")
    assert what in " ".join(one["what"] + one["why"] for one in result["unknown"])


def test_access_logs_that_may_not_be_read() -> None:
    cluster = Healthy()
    cluster.fail("logs", "Pod", 403, times=9)
    result = diagnose(cluster, **CALL)
    assert (result["causes"], result["status"]) == ([], "cannot tell")
    assert [one["why"].partition(":")[0] for one in result["unknown"]] == ["access logs"]


def test_a_control_plane_without_its_configuration() -> None:
    cluster = Healthy()
    cluster.remove("ConfigMap", "istio", "istio-system")
    told = [one["why"] for one in diagnose(cluster, **CALL)["unknown"]]
    assert any("there is no ConfigMap istio in namespace istio-system" in one for one in told)
    cluster = Healthy()
    cluster.edit("ConfigMap", "istio", "istio-system")["data"]["mesh"] = "{"
    assert diagnose(cluster, **CALL)["status"] == "cannot tell"


def test_a_cluster_without_istio_is_said() -> None:
    cluster = Healthy()
    for kind in KINDS - {"ConfigMap", "Deployment", "Namespace", "Secret", "Service"}:
        cluster.missing.add(kind)
    cluster.remove("Pod", "istiod-1", "istio-system")
    result = diagnose(cluster, **NOTHING)
    assert [(one["what"], one["why"]) for one in result["unknown"]] == [("istio", "not installed")]
    assert result["status"] == "cannot tell"
