"""The client's requests and what it makes of the answers, against a server that answers by a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    MeshError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts, discovery
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from ..support.clock import FakeClock
from ..support.http_server import Answer, Request, ScriptedServer

PODS = "/api/v1/namespaces/shop/pods"


def status(code: int, reason: str = "", message: str = "no", **more: Any) -> Answer:
    return Answer(code, {"kind": "Status", "reason": reason, "message": message, **more})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(attempts.random, "uniform", lambda low, _high: low)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[KubeClient]:
    options = ConnectionOptions(host=server.url, api_key="t")
    with connect(options, clock=FakeClock(), threads=4) as made:
        yield made


def pod(name: str = "web", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", **more},
        "spec": {},
    }


def pods(*items: Any, **metadata: Any) -> Answer:
    return Answer(body={"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": [*items]})


def failure(act: Callable[[], Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        act()
    return caught.value


def query_of(request: Request) -> list[str]:
    return sorted(request.path.partition("?")[2].split("&"))


CALLS: dict[str, Callable[[KubeClient], Any]] = {
    "version": lambda client: client.server_version(),
    "get": lambda client: client.get("v1", "Pod", "web", "shop"),
    "list": lambda client: client.list("v1", "Pod", "shop"),
    "apply": lambda client: client.apply(pod()),
    "create": lambda client: client.create(pod()),
    "replace": lambda client: client.replace(pod()),
    "patch": lambda client: client.patch("v1", "Pod", "web", "shop", {}),
    "eviction": lambda client: client.create_subresource("v1", "Pod", "web", "shop", "eviction", {}),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_an_answer_that_is_no_object_is_an_error_of_the_server(
    server: ScriptedServer, client: KubeClient, name: str, body: Any
) -> None:
    server.script = [Answer(body=body)]
    found = failure(lambda: CALLS[name](client))
    assert found.reason == "NotJSON"
    assert "the answer (HTTP 200) is " in found.message
    assert found.details.get("outcome") == (None if name in ("version", "get", "list") else "unknown")
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", sorted({*CALLS, "delete"} - {"version", "get", "list"}))
def test_nothing_is_a_dry_run_unless_it_is_asked_for(
    server: ScriptedServer, client: KubeClient, name: str
) -> None:
    server.always = Answer(200, pod())
    (CALLS.get(name) or (lambda client: client.delete("v1", "Pod", "web", "shop")))(client)
    assert server.requests
    for request in server.requests:
        assert "dryRun" not in request.path
        assert not (isinstance(request.body, dict) and "dryRun" in request.body)


def status_in_a_200(code: Any) -> Answer:
    return Answer(body={"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": "R"})


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("code", "expected"), [(403, 403), (409, 409), (None, 500), ("x", 500), (200, 500)])
def test_a_failure_that_comes_with_200_is_a_failure(
    server: ScriptedServer, client: KubeClient, name: str, code: Any, expected: int
) -> None:
    server.always = status_in_a_200(code)
    found = failure(lambda: CALLS[name](client))
    assert (found.status, found.reason) == (expected, "R")
    assert found.message.endswith(": no")


WRONG_OBJECTS: dict[str, Any] = {
    "empty": {},
    "no kind": {"metadata": {"name": "web", "namespace": "shop"}},
    "another kind": {**pod(), "kind": "Service"},
    "another version": {**pod(), "apiVersion": "v2"},
    "no version": {key: value for key, value in pod().items() if key != "apiVersion"},
    "no metadata": {"apiVersion": "v1", "kind": "Pod"},
    "metadata null": {**pod(), "metadata": None},
    "metadata a list": {**pod(), "metadata": []},
    "no name": {**pod(), "metadata": {"namespace": "shop"}},
    "another name": pod("other"),
    "a name of another type": pod(name=5),
    "another namespace": pod(namespace="other"),
    "no namespace": {**pod(), "metadata": {"name": "web"}},
    "a namespace of another type": pod(namespace=["shop"]),
    "a list": {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []},
    "success": {"kind": "Status", "status": "Success"},
}


@pytest.mark.parametrize("name", ["get", "apply", "create", "replace", "patch"])
@pytest.mark.parametrize("wrong", WRONG_OBJECTS)
def test_another_object_is_never_the_one_that_was_asked_for(
    server: ScriptedServer, client: KubeClient, name: str, wrong: str
) -> None:
    server.script = [Answer(body=WRONG_OBJECTS[wrong])]
    found = failure(lambda: CALLS[name](client))
    assert (found.reason, len(server.requests)) == ("NotJSON", 1)
    assert found.message.startswith("Pod shop/web: the answer (HTTP 200) ")
    assert found.details.get("outcome") == (None if name == "get" else "unknown")


WRONG_LISTS: dict[str, Any] = {
    "empty": {},
    "no items": {"apiVersion": "v1", "kind": "PodList", "metadata": {}},
    "no kind": {"apiVersion": "v1", "metadata": {}, "items": []},
    "kind of its items": {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "items": []},
    "success": {"apiVersion": "v1", "kind": "Status", "status": "Success", "items": []},
    "another version": {"apiVersion": "v2", "kind": "PodList", "metadata": {}, "items": []},
    "metadata a list": {"apiVersion": "v1", "kind": "PodList", "metadata": ["x"], "items": []},
    "a broken token": {"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": 5}, "items": []},
    "a rest without a token": {
        "apiVersion": "v1",
        "kind": "PodList",
        "metadata": {"remainingItemCount": 3},
        "items": [],
    },
    **{
        f"items {items}": {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}
        for items in (None, {}, "x", 5, True)
    },
    **{
        f"an item that is {item}": {
            "apiVersion": "v1",
            "kind": "PodList",
            "metadata": {},
            "items": [pod(), item],
        }
        for item in (
            None,
            1,
            "x",
            [],
            {},
            pod(name=""),
            {**pod(), "kind": "Node"},
            {**pod(), "metadata": None},
        )
    },
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_half_a_list_is_never_an_empty_one(server: ScriptedServer, client: KubeClient, wrong: str) -> None:
    server.script = [Answer(body=WRONG_LISTS[wrong])]
    found = failure(lambda: client.list("v1", "Pod", "shop"))
    assert (found.reason, len(server.requests)) == ("NotJSON", 1)
    assert found.message.startswith("list pods: the answer (HTTP 200) ")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "x",
        {"status": "Success"},
        {"kind": "Status"},
        {"kind": "Status", "status": 1},
        pod("other"),
    ],
)
def test_what_does_not_say_that_it_is_gone_is_no_deletion(
    server: ScriptedServer, client: KubeClient, body: Any
) -> None:
    server.script = [Answer(body=body)]
    found = failure(lambda: client.delete("v1", "Pod", "web", "shop"))
    assert (found.reason, found.details["outcome"]) == ("NotJSON", "unknown")
    server.script = [Answer(202, pod())]
    assert client.delete("v1", "Pod", "web", "shop")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"}),
        Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"}),
        Answer(404, {"message": "no route"}),
        Answer(404, b""),
    ],
)
def test_a_404_of_somebody_else_says_nothing_about_an_object(
    server: ScriptedServer, client: KubeClient, answer: Answer
) -> None:
    """A proxy that does not know the path made 'state: absent' succeed while the object lived."""
    server.always = answer
    assert failure(lambda: client.get("v1", "Pod", "web", "shop")).status == 404
    assert failure(lambda: client.list("v1", "Pod", "shop")).status == 404
    assert failure(lambda: client.delete("v1", "Pod", "web", "shop")).status == 404


def test_a_kind_that_is_not_served_any_more_is_gone(server: ScriptedServer, client: KubeClient) -> None:
    plain = Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})
    other = Answer(body=groups_of({"version": "v1", "resources": []}))
    for act, expected in (
        (lambda: client.get("apps/v1", "Deployment", "web", "shop"), None),
        (lambda: client.list("apps/v1", "Deployment", "shop").missing, True),
    ):
        server.script = [Answer(body=GROUPS), plain, other]
        client.refresh_discovery()
        assert act() is expected
        server.script = [Answer(body=GROUPS), plain, Answer(body=GROUPS)]
        client.refresh_discovery()
        assert failure(act).status == 404


def test_a_version_without_a_version_is_no_server(server: ScriptedServer, client: KubeClient) -> None:
    for body in ({}, {"gitVersion": None}, {"gitVersion": 1}):
        server.script = [Answer(body=body)]
        assert failure(client.server_version).reason == "NotJSON"


def test_an_eviction_without_an_answer_is_none(server: ScriptedServer, client: KubeClient) -> None:
    server.script = [Answer(201, {"status": "Success"})]
    assert failure(lambda: CALLS["eviction"](client)).details["outcome"] == "unknown"


def test_a_login_that_a_service_wants_is_not_ours(server: ScriptedServer, client: KubeClient) -> None:
    page = Answer(401, b"<html>", {"Content-Type": "text/html"})
    server.script = [page, Answer(401, {"kind": "Status", "message": "Unauthorized"})]
    found = failure(lambda: client.service_proxy_get("m", "prometheus", 9090, "/"))
    assert "wants a credential of its own (HTTP 401)" in found.message
    found = failure(lambda: client.service_proxy_get("m", "prometheus", 9090, "/"))
    assert "does not accept the credential" in found.message


class TestReading:
    def test_one_object(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [
            Answer(body=pod()),
            status(404, "NotFound"),
            status(403, "Forbidden", "pods is forbidden"),
        ]
        assert client.get("v1", "Pod", "web", "shop") == pod()
        assert client.get("v1", "Pod", "web", "shop") is None
        found = failure(lambda: client.get("v1", "Pod", "web", "shop"))
        assert (found.status, found.message) == (403, "Pod shop/web: pods is forbidden")
        assert server.requests[0].path == f"{PODS}/web"

    def test_a_cluster_scoped_object(self, server: ScriptedServer, client: KubeClient) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}}
        server.script = [Answer(body=node), status(403)]
        client.get("v1", "Node", "one", "ignored")
        assert server.requests[0].path == "/api/v1/nodes/one"
        assert failure(lambda: client.get("v1", "Node", "one")).message == "Node one: no"

    def test_a_list_page_by_page(self, server: ScriptedServer, client: KubeClient) -> None:
        other = {"metadata": {"name": "b"}, "apiVersion": "v1", "kind": "Pod"}
        server.script = [
            pods({"metadata": {"name": "a"}}, **{"continue": "t/1", "resourceVersion": "7"}),
            pods(other, resourceVersion="7"),
        ]
        found = client.list("v1", "Pod", "shop", label_selector="app in (a,b)", field_selector="x=y")
        assert (found.resource_version, found.missing) == ("7", False)
        kind = {"apiVersion": "v1", "kind": "Pod"}
        assert found.items == [{"metadata": {"name": "a"}, **kind}, {"metadata": {"name": "b"}, **kind}]
        selectors = ["fieldSelector=x%3Dy", "labelSelector=app+in+%28a%2Cb%29", "limit=500"]
        assert query_of(server.requests[0]) == selectors
        assert query_of(server.requests[1]) == ["continue=t%2F1", *selectors]

    def test_an_empty_list(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [pods()]
        found = client.list("v1", "Pod")
        assert (found.items, found.missing, server.requests[0].path) == ([], False, "/api/v1/pods?limit=500")

    def test_a_kind_of_which_there_are_few_is_read_at_once(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        server.script = [
            pods({"metadata": {"name": "a"}}),
            pods({"metadata": {"name": "a"}}, **{"continue": "t"}),
            status(404),
        ]
        few = [{"metadata": {"name": "a"}, "apiVersion": "v1", "kind": "Pod"}]
        assert client.all_if_few("v1", "Pod", 64) == few
        assert client.all_if_few("v1", "Pod", 64) is None
        assert failure(lambda: client.all_if_few("v1", "Pod", 64)).status == 404
        assert [request.path for request in server.requests] == ["/api/v1/pods?limit=64"] * 3

    def test_a_list_that_expires_on_the_way_begins_again(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        first = pods({"metadata": {"name": "a"}}, **{"continue": "t"})
        gone = status(410, "Expired")
        server.script = [first, gone, pods()]
        assert client.list("v1", "Pod").items == []
        server.script = [first, gone] * 3
        found = failure(lambda: client.list("v1", "Pod"))
        assert (found.status, found.reason) == (410, "Expired")
        assert "changed faster than it could be read" in found.message
        server.script = [gone]
        assert failure(lambda: client.list("v1", "Pod")).message == "list pods: no"

    def test_a_kind_that_was_removed_meanwhile(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [status(404, "NotFound")]
        assert client.list("v1", "Pod").missing
        server.script = [
            pods(**{"continue": "t"}),
            status(404, "NotFound"),
        ]
        assert failure(lambda: client.list("v1", "Pod")).status == 404

    def test_logs(self, server: ScriptedServer, client: KubeClient) -> None:
        plain = {"Content-Type": "text/plain"}
        server.script = [Answer(body=b"one\ntwo", headers=plain), Answer(body=b"", headers=plain)]
        assert client.logs("shop", "web", "app", 20) == "one\ntwo"
        assert client.logs("shop", "web") == ""
        assert query_of(server.requests[0]) == ["container=app", "tailLines=20"]
        assert server.requests[1].path == f"{PODS}/web/log"
        assert server.requests[0].headers["accept"] == ["*/*"]

    def test_services_behind_the_server(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(body={"a": 1}), Answer(body=b"text", headers={"Content-Type": "text/plain"})]
        assert client.service_proxy_get("m", "prometheus", 9090, "/api/v1/query", {"query": "x"}) == {"a": 1}
        assert client.service_proxy_get("m", "prometheus", "http", "-/ready") == "text"
        base = "/api/v1/namespaces/m/services/prometheus"
        assert server.requests[0].path == f"{base}:9090/proxy/api/v1/query?query=x"
        assert server.requests[1].path == f"{base}:http/proxy/-/ready"


class TestWriting:
    def test_an_apply(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(201, pod()), Answer(200, pod()), Answer(200, pod())]
        theirs = {"uid": "u", "generation": 1, "managedFields": [], "selfLink": "x", "creationTimestamp": "t"}
        obj = {**pod(**theirs, labels=None, annotations={"a": "b"}, resourceVersion="5"), "status": {}}
        assert client.apply_told(obj) == (pod(), True)
        assert client.apply_told(pod(), field_manager="m", force=True, dry_run=True)[1] is False
        assert client.apply(pod()) == pod()
        first, second, third = server.requests
        assert query_of(third) == query_of(first)
        assert (first.method, first.path.partition("?")[0]) == ("PATCH", f"{PODS}/web")
        assert first.headers["content-type"] == ["application/apply-patch+yaml"]
        assert query_of(first) == ["fieldManager=servicemesh.istio", "fieldValidation=Strict"]
        assert first.body == {**pod(annotations={"a": "b"}, resourceVersion="5"), "status": {}}
        assert query_of(second) == ["dryRun=All", "fieldManager=m", "fieldValidation=Strict", "force=true"]

    def test_an_object_that_nobody_touched_since_counts_as_created(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        time = "2026-01-01T00:00:00Z"
        made = pod(creationTimestamp=time, managedFields=[{"time": time, "manager": "m"}])
        server.script = [Answer(504, {}), Answer(200, made)]
        assert client.apply_told(pod()) == (made, True)

    def test_a_conflict_names_manager_and_field(self, server: ScriptedServer, client: KubeClient) -> None:
        cause = {"reason": "FieldManagerConflict", "message": 'conflict with "other"', "field": ".spec.a"}
        server.script = [status(409, "Conflict", details={"causes": [cause]})]
        found = failure(lambda: client.apply(pod()))
        assert isinstance(found, ConflictError)
        assert (found.manager, found.fields) == ("other", (".spec.a",))

    def test_a_creation(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(201, pod()), Answer(201, pod()), status(409, "AlreadyExists", "exists")]
        assert client.create(pod()) == pod()
        client.create(pod(), dry_run=True)
        assert failure(lambda: client.create(pod())).message == "Pod shop/web: exists"
        assert (server.requests[0].method, server.requests[0].body) == ("POST", pod())
        assert server.requests[0].path.partition("?")[0] == PODS
        assert "dryRun=All" not in query_of(server.requests[0])
        assert "dryRun=All" in query_of(server.requests[1])

    @pytest.mark.parametrize("verb", ["create", "replace"])
    def test_after_a_lost_answer_what_holds_ours_is_ours(
        self, server: ScriptedServer, client: KubeClient, verb: str
    ) -> None:
        write = getattr(client, verb)
        live = {**pod(resourceVersion="9"), "status": {}}
        server.script = [Answer(504, {}), status(409, "AlreadyExists"), Answer(body=live)]
        assert write(pod()) == live
        assert server.requests[2].path == f"{PODS}/web"
        other = {**pod(), "spec": {"other": 1}}
        server.script = [Answer(504, {}), status(409, "AlreadyExists"), Answer(body=pod())]
        assert failure(lambda: write(other)).status == 409
        server.script = [Answer(504, {}), status(409, "AlreadyExists"), status(404, "NotFound")]
        assert failure(lambda: write(pod())).status == 409
        # Without doubt an object that is there was there before, and another refusal is one.
        server.script = [status(409, "AlreadyExists")]
        assert failure(lambda: write(pod())).status == 409
        server.script = [Answer(504, {}), status(403)]
        assert failure(lambda: write(pod())).status == 403
        assert server.script == []

    def test_a_replacement(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(body=pod())]
        client.replace(pod(resourceVersion="5"), dry_run=True)
        (request,) = server.requests
        assert (request.method, request.path.partition("?")[0]) == ("PUT", f"{PODS}/web")
        assert request.body["metadata"]["resourceVersion"] == "5"
        assert "dryRun=All" in query_of(request)

    @pytest.mark.parametrize(
        ("kind", "content_type"),
        [
            ("merge", "application/merge-patch+json"),
            ("json", "application/json-patch+json"),
            ("strategic", "application/strategic-merge-patch+json"),
        ],
    )
    def test_patches(self, server: ScriptedServer, client: KubeClient, kind: str, content_type: str) -> None:
        server.script = [Answer(body=pod()), Answer(body=pod())]
        client.patch("v1", "Pod", "web", "shop", {"a": 1}, patch_type=kind)
        client.patch(
            "v1",
            "Pod",
            "web",
            "shop",
            {},
            patch_type=kind,
            subresource="status",
            dry_run=True,
            field_manager="m",
        )
        first, second = server.requests
        assert (first.headers["content-type"], first.body) == ([content_type], {"a": 1})
        assert query_of(first) == ["fieldManager=servicemesh.istio", "fieldValidation=Strict"]
        assert second.path.partition("?")[0] == f"{PODS}/web/status"
        assert query_of(second) == ["dryRun=All", "fieldManager=m", "fieldValidation=Strict"]

    def test_deletions(self, server: ScriptedServer, client: KubeClient) -> None:
        done = Answer(body={"kind": "Status", "status": "Success"})
        server.script = [
            done,
            done,
            status(404, "NotFound"),
            status(409, "Conflict", "the UID in the precondition"),
        ]
        delete = client.delete
        assert delete("v1", "Pod", "web", "shop")
        assert delete("v1", "Pod", "web", "shop", uid="u", dry_run=True)
        assert not delete("v1", "Pod", "web", "shop")
        assert not delete("v1", "Pod", "web", "shop", uid="u")
        base = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        assert server.requests[0].body == base
        assert server.requests[1].body == {**base, "preconditions": {"uid": "u"}, "dryRun": ["All"]}
        server.script = [
            status(409, "Conflict", "the UID in the precondition"),
            status(409, "Conflict", "being changed"),
            status(403, message="UID"),
        ]
        assert failure(lambda: delete("v1", "Pod", "web", "shop")).status == 409
        assert failure(lambda: delete("v1", "Pod", "web", "shop", uid="u")).status == 409
        assert failure(lambda: delete("v1", "Pod", "web", "shop", uid="u")).status == 403

    def test_an_eviction(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(201, {"kind": "Status", "status": "Success"}), status(403)]
        client.create_subresource("v1", "Pod", "web", "shop", "eviction", {"a": 1}, dry_run=True)
        (request,) = server.requests
        assert (request.method, request.body) == ("POST", {"a": 1})
        assert request.path.partition("?")[0] == f"{PODS}/web/eviction"
        assert "dryRun=All" in query_of(request)
        found = failure(lambda: client.create_subresource("v1", "Pod", "web", "shop", "eviction", {}))
        assert found.message == "Pod shop/web eviction: no"


def test_warnings_are_kept_once(server: ScriptedServer, client: KubeClient) -> None:
    warned = {"Warning": '299 - "old"'}
    version = {"gitVersion": "v1"}
    server.script = [
        Answer(body=version, headers=warned),
        Answer(body=version, headers={"Warning": '299 - "older"'}),
        Answer(body=version, headers=warned),
    ]
    for _unused in range(3):
        client.server_version()
    assert client.warnings == ["old", "older"]


class TestInParallel:
    def test_results_come_in_the_order_of_the_items(self, client: KubeClient) -> None:
        assert client.in_parallel(lambda number: number * 2, range(20)) == list(range(0, 40, 2))
        assert client.in_parallel(lambda number: number, []) == []

    def test_one_item_and_one_thread_need_no_other(self, client: KubeClient) -> None:
        here = threading.get_ident()
        assert client.in_parallel(lambda _item: threading.get_ident(), [1]) == [here]
        assert set(client.in_parallel(lambda _item: threading.get_ident(), [1, 2], threads=1)) == {here}

    def test_nothing_starts_after_a_failure(self, client: KubeClient) -> None:
        started: list[int] = []

        def act(number: int) -> None:
            started.append(number)
            raise MeshError(f"number {number}")

        with pytest.raises(MeshError, match="number 0"):
            client.in_parallel(act, range(50), threads=2)
        assert len(started) < 5

    def test_calls_in_calls_share_the_requests_that_may_be_in_flight(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        """Nested calls made 177 requests at once with threads 24."""
        server.always, server.hold = Answer(body=pod()), 0.01

        def outer(_item: int) -> int:
            return len(client.in_parallel(lambda _one: client.get("v1", "Pod", "web", "shop"), range(4)))

        assert (
            client.in_parallel(lambda _item: client.in_parallel(outer, range(3)), range(3)) == [[4] * 3] * 3
        )
        assert (len(server.requests), server.most_at_once) == (36, 4)

    def test_as_many_threads_as_asked_for(self, client: KubeClient) -> None:
        barrier = threading.Barrier(3, timeout=5)
        assert len(client.in_parallel(lambda _item: barrier.wait(), range(3), threads=3)) == 3
        barrier = threading.Barrier(4, timeout=5)
        assert len(client.in_parallel(lambda _item: barrier.wait(), range(4))) == 4


GROUPS = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {"name": "apps"},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {
                            "resource": "deployments",
                            "responseKind": {"kind": "Deployment"},
                            "scope": "Namespaced",
                            "verbs": ["list", "get"],
                        },
                        {"resource": "things", "responseKind": {"kind": "Thing"}, "scope": "Cluster"},
                        {"resource": "odd"},
                    ],
                }
            ],
        },
        {
            "metadata": {"name": "down.example.com"},
            "versions": [{"version": "v1", "freshness": "Stale", "resources": []}],
        },
    ],
}  # fmt: skip


CORE = Answer(body={"kind": "APIVersions", "versions": ["v1"]})
NO_KINDS = Answer(body={"kind": "APIResourceList", "resources": []})


def groups_of(*versions: Any, name: Any = "apps") -> dict[str, Any]:
    return {
        "kind": "APIGroupDiscoveryList",
        "items": [{"metadata": {"name": name}, "versions": list(versions)}],
    }


class TestDiscovery:
    def test_kinds_are_read_once(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(body=GROUPS)]
        found = client.resource("apps/v1", "Deployment")
        assert (found.plural, found.namespaced, found.verbs, found.group) == (
            "deployments",
            True,
            ("get", "list"),
            "apps",
        )
        assert found.path("shop", "web", "scale") == "/apis/apps/v1/namespaces/shop/deployments/web/scale"
        thing = client.resource("apps/v1", "Thing")
        assert (thing.namespaced, thing.path("shop")) == (False, "/apis/apps/v1/things")
        (request,) = server.requests
        assert request.path == "/apis"
        assert request.headers["accept"] == [discovery.AGGREGATED]

    def test_core_kinds_need_no_request_and_others_have_their_own(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        assert client.resource("v1", "Pod").path("shop") == PODS
        assert client.resource("v1", "Node").namespaced is False
        server.script = [CORE, NO_KINDS]
        assert failure(lambda: client.resource("v1", "Binding")).reason == "NoKind"
        assert server.requests[0].path == "/api"

    def test_a_kind_that_is_not_served(self, server: ScriptedServer, client: KubeClient) -> None:
        server.script = [Answer(body=GROUPS)]
        found = failure(lambda: client.resource("apps/v1", "Nothing"))
        assert (found.reason, found.status) == ("NoKind", 404)
        assert client.list("apps/v1", "Nothing").missing
        assert client.get("apps/v1", "Nothing", "x") is None

    def test_a_group_whose_server_is_down_is_not_empty(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        server.script = [Answer(body=GROUPS), CORE, NO_KINDS]
        assert failure(lambda: client.resource("down.example.com/v1", "X")).reason == "DiscoveryStale"
        assert failure(lambda: client.resource("v1", "Other")).reason == "NoKind"
        found = failure(lambda: client.list("down.example.com/v1", "X"))
        assert (found.reason, found.status) == ("DiscoveryStale", 0)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            None,
            "login",
            {"kind": "Status"},
            {"groups": []},
            {"kind": "APIResourceList"},
            {"kind": "APIGroupList", "groups": None},
            {"kind": "APIGroupList", "groups": [{"versions": None}]},
            {"kind": "APIGroupList", "groups": [{"versions": [{}]}]},
            {"kind": "APIGroupList", "groups": "x"},
            {"kind": "APIGroupDiscoveryList"},
            {"kind": "APIGroupDiscoveryList", "items": None},
            {"kind": "APIGroupDiscoveryList", "items": []},
            {"kind": "APIGroupDiscoveryList", "items": "x"},
            {"kind": "APIGroupDiscoveryList", "items": [None]},
            groups_of(),
            groups_of(None),
            groups_of({"version": 1}),
            groups_of({"version": ""}),
            groups_of({"version": "v1"}, name=5),
            groups_of({"version": "v1", "resources": {}}),
            groups_of({"version": "v1", "resources": [{"responseKind": {"kind": "Thing"}}]}),
            groups_of(
                {"version": "v1", "resources": [{"responseKind": {"kind": "Thing"}, "resource": "things"}]}
            ),
        ],
    )
    def test_nonsense_is_never_a_server_without_kinds(
        self, server: ScriptedServer, client: KubeClient, body: Any
    ) -> None:
        """A login page made 'state: absent' succeed while the object lived."""
        server.always = Answer(body=body)
        found = failure(lambda: client.list("networking.istio.io/v1", "Gateway"))
        assert found.reason == "Discovery"
        assert failure(lambda: client.get("networking.istio.io/v1", "Gateway", "x")).reason == "Discovery"

    def test_an_empty_answer_is_an_error(self, server: ScriptedServer, client: KubeClient) -> None:
        server.always = Answer(body=b"")
        assert failure(lambda: client.list("networking.istio.io/v1", "Gateway")).reason == "NotJSON"

    def test_an_older_server_is_asked_version_by_version(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        groups = {
            "kind": "APIGroupList",
            "groups": [{"versions": [{"groupVersion": "a.io/v1"}, {"groupVersion": "a.io/v2"}]}],
        }
        resources = [
            {"name": "things", "kind": "Thing", "namespaced": True, "verbs": ["get"]},
            {"name": "things/status", "kind": "Other", "namespaced": True},
        ]
        listed = Answer(body={"kind": "APIResourceList", "resources": resources})
        server.script = [Answer(body=groups), listed, NO_KINDS]
        found = client.resource("a.io/v1", "Thing")
        assert (found.plural, found.namespaced, found.verbs) == ("things", True, ("get",))
        assert failure(lambda: client.resource("a.io/v1", "Other")).reason == "NoKind"
        assert failure(lambda: client.resource("a.io/v2", "Thing")).reason == "NoKind"
        assert [request.path for request in server.requests] == ["/apis", "/apis/a.io/v1", "/apis/a.io/v2"]
        asked = [request.headers["accept"] for request in server.requests]
        assert asked == [[discovery.AGGREGATED], ["application/json"], ["application/json"]]

    def test_an_older_servers_core_kinds(self, server: ScriptedServer, client: KubeClient) -> None:
        resources = [{"name": "bindings", "kind": "Binding", "namespaced": True}]
        server.script = [
            Answer(body={"kind": "APIVersions", "versions": ["v1"]}),
            Answer(body={"kind": "APIResourceList", "resources": resources}),
        ]
        assert client.resource("v1", "Binding").path("shop") == "/api/v1/namespaces/shop/bindings"
        assert [request.path for request in server.requests] == ["/api", "/api/v1"]

    def test_nonsense_for_one_version_is_an_error(self, server: ScriptedServer, client: KubeClient) -> None:
        groups = {"kind": "APIGroupList", "groups": [{"versions": [{"groupVersion": "a.io/v1"}]}]}
        broken: list[Any] = [
            {},
            {"resources": None},
            {"resources": [{}]},
            {"resources": [{"name": "things"}]},
        ]
        for resources in broken:
            server.script = [
                Answer(body=groups),
                Answer(body={"kind": "APIResourceList", **resources} if resources else {}),
            ]
            client.refresh_discovery()
            assert failure(lambda: client.resource("a.io/v1", "Thing")).reason == "Discovery"

    def test_after_new_definitions_it_is_asked_again(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        before = groups_of({"version": "v1", "resources": []})
        server.script = [Answer(body=before), Answer(body=GROUPS)]
        assert client.list("apps/v1", "Deployment").missing
        client.refresh_discovery()
        assert client.resource("apps/v1", "Deployment")

    def test_a_known_answer_costs_no_bytes(self, server: ScriptedServer, tmp_path: Any) -> None:
        fresh = {**GROUPS, "items": GROUPS["items"][:1]}
        server.script = [Answer(body=fresh, headers={"ETag": '"e"'}), Answer(304, b"")]
        for _unused in range(2):
            with connect(ConnectionOptions(host=server.url, api_key="t")) as made:
                assert made.resource("apps/v1", "Deployment").verbs == ("get", "list")
        assert server.requests[1].headers["if-none-match"] == ['"e"']
        (file,) = (tmp_path / "servicemesh.istio").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        # Another caller may see other kinds.
        server.script = [Answer(body=fresh)]
        options = ConnectionOptions(host=server.url, api_key="t", impersonate_user="dev")
        with connect(options) as made:
            made.resource("apps/v1", "Deployment")
        assert "if-none-match" not in server.requests[2].headers

    def test_an_answer_with_a_server_down_is_not_kept(self, server: ScriptedServer, tmp_path: Any) -> None:
        server.script = [Answer(body=GROUPS, headers={"ETag": '"e"'})]
        with connect(ConnectionOptions(host=server.url, api_key="t")) as made:
            made.resource("apps/v1", "Deployment")
        assert not (tmp_path / "servicemesh.istio").exists()

    @pytest.mark.parametrize(
        "content",
        [
            "{",
            "[]",
            '{"/apis": 5}',
            '{"/apis": {"etag": 1, "kinds": {}, "stale": []}}',
            '{"/apis": {"etag": "e", "kinds": [], "stale": []}}',
            '{"/apis": {"etag": "e", "kinds": {}, "stale": {}}}',
            '{"/apis": {"etag": "e", "kinds": {"a/v1": []}, "stale": []}}',
            '{"/apis": {"etag": "e", "kinds": {"a/v1": {"K": ["ks"]}}, "stale": []}}',
        ],
    )
    def test_a_spoilt_cache_is_no_cache(self, server: ScriptedServer, tmp_path: Any, content: str) -> None:
        fresh = {**GROUPS, "items": GROUPS["items"][:1]}
        server.script = [Answer(body=fresh, headers={"ETag": '"e"'}), Answer(body=fresh)]
        with connect(ConnectionOptions(host=server.url, api_key="t")) as made:
            made.resource("apps/v1", "Deployment")
        (file,) = (tmp_path / "servicemesh.istio").iterdir()
        file.write_text(content)
        with connect(ConnectionOptions(host=server.url, api_key="t")) as made:
            assert made.resource("apps/v1", "Deployment").plural == "deployments"
        assert "if-none-match" not in server.requests[1].headers

    def test_a_cache_that_cannot_be_written_leaves_nothing(self, tmp_path: Any) -> None:
        with pytest.raises(TypeError):
            discovery._write_cache(tmp_path / "discovery-a.json", "/apis", {"kinds": object()})
        assert list(tmp_path.iterdir()) == []

    def test_not_modified_without_having_asked_is_an_error(
        self, server: ScriptedServer, client: KubeClient
    ) -> None:
        server.script = [Answer(304, b"")]
        assert failure(lambda: client.resource("apps/v1", "Deployment")).reason == "Discovery"
