"""The deadman's program at its decisions: whose Lease it sees, and when it has nothing to do."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.deadman import script

TASK: dict[str, Any] = {
    "lease": "/lease",
    "routes": "/routes",
    "holder": "runner-1",
    "identity": "deadman:job",
    "fence": 3,
    "seconds": 30,
    "annotation": "servicemesh.istio/fence",
    "write": {"query": "fieldManager=m", "content_type": "json", "object": {"metadata": {}, "spec": {}}},
}


def test_a_request_goes_to_the_api_server_as_the_pods_own_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[Any] = []

    class Connection:
        def __init__(self, host: str, port: int, **options: Any) -> None:
            sent.append((host, port, options["context"]))

        def request(self, *request: Any) -> None:
            sent.append(request)

        def getresponse(self) -> Any:
            return SimpleNamespace(status=201, read=lambda: b'{"kind": "Lease"}')

        def close(self) -> None:
            sent.append("closed")

    trust = SimpleNamespace(verify_flags=ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_TRUSTED_FIRST)
    (tmp_path / "token").write_text("tok")
    monkeypatch.setattr(script, "ACCOUNT", str(tmp_path))
    monkeypatch.setattr(script.ssl, "create_default_context", lambda cafile: sent.append(cafile) or trust)
    monkeypatch.setattr(script.http.client, "HTTPSConnection", Connection)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    as_json = {"Authorization": "Bearer tok", "Content-Type": "application/json"}
    as_patch = {**as_json, "Content-Type": "application/apply-patch+yaml"}
    assert script.in_cluster("PUT", "/lease", {"a": 1}) == (201, {"kind": "Lease"})
    assert script.in_cluster("GET", "/lease") == (201, {"kind": "Lease"})
    script.in_cluster("PATCH", "/routes", {}, content_type="application/apply-patch+yaml")
    assert sent[:2] == [f"{tmp_path}/ca.crt", ("10.0.0.1", 443, trust)]
    assert trust.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST
    assert [one for one in sent if one[0] in ("PUT", "GET", "PATCH")] == [
        ("PUT", "/lease", '{"a": 1}', as_json),
        ("GET", "/lease", None, as_json),
        ("PATCH", "/routes", "{}", as_patch),
    ]
    assert sent.count("closed") == 3


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        ({}, "the rollout has ended"),
        ({"holderIdentity": ""}, "the rollout has ended"),
        ({"holderIdentity": "runner-1", "leaseTransitions": 3}, "watched"),
        ({"holderIdentity": "runner-1", "leaseTransitions": 4}, "another runner has taken over"),
        ({"holderIdentity": "runner-1"}, "another runner has taken over"),
        ({"holderIdentity": "runner-2", "leaseTransitions": 3}, "another runner has taken over"),
        ({"holderIdentity": "deadman:job", "leaseTransitions": 4}, "taken"),
    ],
)
def test_whose_lease_it_is(spec: dict[str, Any], state: str) -> None:
    assert script.state_of({"spec": spec}, TASK) == state


def routes(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": {"http": []}}


@pytest.mark.parametrize(
    ("fence", "said", "writes"), [("4", "the runner is dead", 1), ("5", "another runner", 0)]
)
def test_routes_with_a_newer_fence_are_left_alone(fence: str, said: str, writes: int) -> None:
    asked: list[str] = []

    def ask(method: str, path: str, *_rest: Any, **_more: Any) -> tuple[int, dict[str, Any]]:
        asked.append(method)
        return 200, routes(**{TASK["annotation"]: fence})

    assert script.give_back(ask, TASK, lambda _seconds: None).startswith(said)
    assert asked.count("PATCH") == writes


def test_routes_that_are_gone_need_no_write() -> None:
    assert (
        script.give_back(lambda *_rest, **_more: (404, {}), TASK, lambda _seconds: None)
        == "the routes are gone"
    )


def test_a_whole_object_is_written_at_the_live_version_with_the_next_fence() -> None:
    body = script.given_back(routes(), TASK)
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["metadata"]["annotations"] == {TASK["annotation"]: "4"}
    assert TASK["write"]["object"]["metadata"] == {}


def test_a_lease_that_moved_meanwhile_is_not_taken() -> None:
    lease = {"spec": {"holderIdentity": "runner-1", "leaseTransitions": 3}}
    assert script.take(lambda *_rest, **_more: (409, {}), TASK, lease) is None
    sent: list[dict[str, Any]] = []

    def ask(_method: str, _path: str, body: Any = None, **_more: Any) -> tuple[int, dict[str, Any]]:
        sent.append(body)
        return 200, body

    taken = script.take(ask, TASK, lease)
    assert taken is not None
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == ("deadman:job", 4)
    assert script.take(ask, TASK, taken) == taken
    assert len(sent) == 1


@pytest.mark.parametrize("status", [0, 403, 404, 500])
def test_a_rehearsal_says_what_cannot_be_read(status: int) -> None:
    found = script.rehearse(lambda *_rest, **_more: (status, {}), TASK)
    assert found == f"the Lease cannot be read: status {status}"


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("no JSON")])
def test_a_request_that_fails_counts_as_status_0(error: Exception) -> None:
    def ask(*_rest: Any, **_more: Any) -> Any:
        raise error

    assert script.attempted(ask, "GET", "/lease") == (0, {})


FOREIGN: dict[str, Any] = {
    **TASK,
    "write": {"query": "q", "content_type": "patch", "routes": [], "hosts": ["h"], "subsets": ["v1", "v2"]},
}


def live(*parts: tuple[str, int | None], **metadata: Any) -> dict[str, Any]:
    destinations = [
        {"destination": {"host": "h", "subset": subset}, **({} if weight is None else {"weight": weight})}
        for subset, weight in parts
    ]
    return {
        "metadata": {"resourceVersion": "7", **metadata},
        "spec": {"http": [{"name": "r", "route": destinations}]},
    }


def test_a_foreign_object_is_patched_where_it_differs_and_keeps_its_annotations() -> None:
    found = live(("v1", 60), ("v2", 40), annotations={"team": "a"})
    assert script.given_back(found, FOREIGN) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/metadata/annotations", "value": {"team": "a", TASK["annotation"]: "4"}},
        {
            "op": "replace",
            "path": "/spec/http/0/route",
            "value": live(("v1", 100))["spec"]["http"][0]["route"],
        },
    ]
    whole = {**TASK, "write": {**TASK["write"], "object": {"metadata": {"annotations": {"b": "c"}}}}}
    assert script.given_back(found, whole)["metadata"]["annotations"] == {"b": "c", TASK["annotation"]: "4"}


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ([("v1", 60), ("v2", 40)], [("v1", 100)]),
        ([("v2", 40), ("v1", None)], [("v1", 40)]),
        ([("v1", 50), ("v2", 30), ("old", 20)], [("v1", 80), ("old", 20)]),
        ([("v1", 100)], None),
        ([("v2", 100)], None),
        ([("old", 100)], None),
    ],
)
def test_a_route_that_nobody_knows_loses_the_canary_s_part(parts: Any, left: Any) -> None:
    route = live(*parts)["spec"]["http"][0]
    found = script.without_canary(route, FOREIGN["write"])
    assert found == (None if left is None else live(*left)["spec"]["http"][0]["route"])


@pytest.mark.parametrize(
    "fence", [None, {}, {"annotations": None}, {"annotations": {TASK["annotation"]: ""}}]
)
def test_routes_without_a_fence_are_of_nobody(fence: Any) -> None:
    assert script.fence_of({"metadata": fence or {}}, TASK) == 0


class Server:
    """Answers each request with what comes next for its method and path."""

    def __init__(self, **answers: list[tuple[int, Any]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def __call__(self, method: str, path: str, *_rest: Any, **_more: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        waiting = self.answers[f"{method}_{path.strip('/').partition('?')[0]}"]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.mark.parametrize(
    ("lease", "routes_", "patch", "trouble"),
    [
        (200, 200, 200, ""),
        (409, 200, 409, ""),
        (200, 200, 422, ""),
        (403, 200, 200, "the Lease cannot be written: status 403"),
        (200, 404, 200, "the routes cannot be read: status 404"),
        (200, 200, 403, "the routes cannot be written: status 403"),
        (200, 200, 404, "the routes cannot be written: status 404"),
    ],
)
def test_a_rehearsal_writes_nothing_and_says_what_would_fail(
    lease: int, routes_: int, patch: int, trouble: str
) -> None:
    server = Server(
        GET_lease=[(200, {})],
        PUT_lease=[(lease, {})],
        GET_routes=[(routes_, routes())],
        PATCH_routes=[(patch, {})],
    )
    assert script.rehearse(server, TASK) == trouble
    assert all("dryRun=All" in path for method, path in server.asked if method != "GET")


def watched(renewed: str) -> tuple[int, Any]:
    return 200, {"spec": {"holderIdentity": "runner-1", "leaseTransitions": 3, "renewTime": renewed}}


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([watched("a")], 30),  # it stands still from the first look on
        ([watched("a"), watched("b")], 31),
        ([watched("a"), (500, {}), watched("a")], 31),  # unseen, it may have moved
        ([watched("a"), *[(0, {})] * 40, watched("a")], 70),
    ],
)
def test_a_lease_has_to_stand_still_for_its_whole_duration(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, Any]], pauses: int
) -> None:
    monkeypatch.setattr(script, "PAUSE", 1.0)
    time = [0.0]
    server = Server(GET_lease=list(answers))
    assert (
        script.watch(server, TASK, lambda: time[0], lambda s: time.__setitem__(0, time[0] + s))
        == answers[-1][1]
    )
    assert time[0] == pauses


@pytest.mark.parametrize(
    ("answers", "found", "pauses"),
    [
        ([(404, {})], {}, 30),
        ([watched("a"), (404, {})], {}, 31),
        ([(404, {}), watched("a"), (404, {})], {}, 32),  # it was there again
        ([(404, {}), (200, {"spec": {}})], "the rollout has ended", 1),
    ],
)
def test_a_lease_that_is_gone_may_come_again(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, Any]], found: Any, pauses: int
) -> None:
    monkeypatch.setattr(script, "PAUSE", 1.0)
    time = [0.0]
    server = Server(GET_lease=list(answers))
    assert script.watch(server, TASK, lambda: time[0], lambda s: time.__setitem__(0, time[0] + s)) == found
    assert time[0] == pauses


def test_writes_are_tried_until_they_stand() -> None:
    slept: list[float] = []
    server = Server(GET_routes=[(500, {}), (200, routes())], PATCH_routes=[(409, {}), (200, {})])
    assert script.give_back(server, TASK, slept.append).startswith("the runner is dead")
    assert slept == [script.PAUSE] * 2


MINE = {"spec": {"holderIdentity": "deadman:job", "leaseTransitions": 4}}


@pytest.mark.parametrize(
    ("puts", "gets", "writes"),
    [
        ([(200, {})], [(200, MINE)], 1),
        ([(409, {}), (200, {})], [(200, MINE)], 2),
        ([(409, {})], [(200, MINE)], 5),
        ([(409, {})], [(200, {"spec": {"holderIdentity": "runner-2"}})], 1),
        ([(409, {})], [(500, MINE)], 1),
    ],
)
def test_letting_go_is_tried_while_it_is_ours(puts: list[Any], gets: list[Any], writes: int) -> None:
    server = Server(PUT_lease=puts, GET_lease=gets)
    script.release(server, TASK, MINE)
    assert [method for method, _path in server.asked].count("PUT") == writes


def test_nothing_is_let_go_where_nobody_has_it() -> None:
    server = Server()
    script.release(server, TASK, {})
    assert script.take(server, TASK, {}) == {}
    assert server.asked == []


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1:1/hook", "https:///hook", "127.0.0.1:1/hook"])
def test_a_url_that_names_no_web_server_is_not_called(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEADMAN_NOTIFY_URL", url)
    script.notify({}, "the runner is gone")
    assert capsys.readouterr().out == ""
