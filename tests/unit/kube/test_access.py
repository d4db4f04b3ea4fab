"""Access reviews: what is asked, of whom, and when an answer counts as a right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import (
    AccessNeed,
    missing_rights,
    missing_rights_of,
)

API = "/apis/authorization.k8s.io/v1"
GET = AccessNeed("get", "", "pods", "shop")
EXEC = AccessNeed("create", "", "pods", "shop", subresource="exec")
ROLE = AccessNeed("bind", "rbac.authorization.k8s.io", "clusterroles", name="istiod")


class Server:
    """Answers each review with ``status``."""

    def __init__(self, *statuses: Any) -> None:
        self.statuses = list(statuses)
        self.sent: list[tuple[str, str, Any, str]] = []

    def in_parallel(self, function: Any, items: Any) -> list[Any]:
        return [function(item) for item in items]

    def request(self, method: str, path: str, *, body: Any, subject: str) -> Any:
        self.sent.append((method, path, body, subject))
        return SimpleNamespace(data={"status": self.statuses.pop(0)})


def test_a_right_is_named_as_a_person_says_it() -> None:
    assert str(GET) == "get pods in namespace shop"
    assert str(EXEC) == "create pods/exec in namespace shop"
    assert str(ROLE) == "bind clusterroles.rbac.authorization.k8s.io 'istiod'"


def test_only_a_clear_yes_is_a_right() -> None:
    server: Any = Server({"allowed": True}, {"allowed": False})
    assert missing_rights(server, [GET, EXEC]) == [EXEC]


@pytest.mark.parametrize("status", [{}, None, {"allowed": "true"}, {"allowed": 1}])
def test_an_answer_without_a_verdict_is_no_answer(status: Any) -> None:
    """Neither a right nor a missing one: somebody else than an API server may have answered."""
    server: Any = Server(status)
    with pytest.raises(ApiError):
        missing_rights(server, [GET])


def test_each_right_is_asked_once_and_missing_ones_keep_their_order() -> None:
    no: Any = {"allowed": False}
    server: Any = Server(no, no, no)
    assert missing_rights(server, [ROLE, GET, ROLE, EXEC, GET]) == [ROLE, GET, EXEC]
    assert len(server.sent) == 3
    assert missing_rights(Server(), []) == []


def test_the_review_about_ourselves() -> None:
    server: Any = Server({"allowed": True}, {"allowed": True})
    missing_rights(server, [EXEC, ROLE])
    spec = {"resourceAttributes": {"verb": "create", "group": "", "resource": "pods", "namespace": "shop"}}
    spec["resourceAttributes"]["subresource"] = "exec"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": spec,
    }
    assert server.sent[0] == ("POST", f"{API}/selfsubjectaccessreviews", body, f"access review: {EXEC}")
    assert server.sent[1][2]["spec"]["resourceAttributes"] == {
        "verb": "bind",
        "group": "rbac.authorization.k8s.io",
        "resource": "clusterroles",
        "name": "istiod",
    }


def test_the_review_about_an_account() -> None:
    """With the groups that the API server gives every ServiceAccount (serviceaccount.MakeGroupNames)."""
    server: Any = Server({"allowed": False})
    assert missing_rights_of(server, [GET], ("edge", "gateway")) == [GET]
    ((method, path, body, _subject),) = server.sent
    assert (method, path) == ("POST", f"{API}/namespaces/shop/localsubjectaccessreviews")
    assert (body["kind"], body["metadata"]) == ("LocalSubjectAccessReview", {"namespace": "shop"})
    assert body["spec"] == {
        "user": "system:serviceaccount:edge:gateway",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:edge", "system:authenticated"],
        "resourceAttributes": {"verb": "get", "group": "", "resource": "pods", "namespace": "shop"},
    }


def test_an_account_is_asked_about_in_one_namespace_at_a_time() -> None:
    server: Any = Server()
    with pytest.raises(ValueError, match="too many values"):
        missing_rights_of(server, [GET, ROLE], ("edge", "gateway"))
    assert server.sent == []


@pytest.mark.parametrize("body", [[], "ok", None, 7, {"status": []}, {"status": "allowed"}])
def test_what_is_no_review_is_no_answer(body: Any) -> None:
    server: Any = Server()
    server.request = lambda *_arguments, **_more: SimpleNamespace(data=body)
    with pytest.raises(ApiError, match="access review: get pods in namespace shop: it has no answer"):
        missing_rights(server, [GET])
