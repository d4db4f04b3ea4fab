"""Every fault at every request of an apply: the right end state, or a named error with nothing half-told."""

from __future__ import annotations

import time

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from ...faults.kube_proxy import DELAY, DROP_AFTER, DROP_BEFORE, GARBLE, HTML, STATUS, TRUNCATE, TWICE, Fault
from . import objects

FAULTS = {
    "drop-before": {"action": DROP_BEFORE},
    "drop-after": {"action": DROP_AFTER},
    "delay": {"action": DELAY, "seconds": 0.2},
    "429": {"action": STATUS, "status": 429},
    "429-retry-after": {"action": STATUS, "status": 429, "retry_after": "1"},
    "500": {"action": STATUS, "status": 500},
    "503": {"action": STATUS, "status": 503},
    "503-retry-after": {"action": STATUS, "status": 503, "retry_after": "1"},
    "504": {"action": STATUS, "status": 504},
    "cut-off": {"action": TRUNCATE},
    "cut-json": {"action": GARBLE},
    "html": {"action": HTML},
    "twice": {"action": TWICE},
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Short pauses: the order of events counts here, not their length."""
    monkeypatch.setattr(attempts, "BACKOFF_BASE", 0.01)


def before_and_after(space):
    """A state, and the one that it becomes: a creation, updates, a narrowing, a deletion."""

    def rule(*subsets):
        spec = {"host": "x", "subsets": [{"name": name, "labels": {"v": name}} for name in subsets]}
        return objects.istio("DestinationRule", "rule", space, spec)

    def routes(subset):
        spec = {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "x", "subset": subset}}]}]}
        return objects.istio("VirtualService", "routes", space, spec)

    old = objects.istio("DestinationRule", "old", space, {"host": "y"})
    new = objects.core("v1", "ConfigMap", "new", space, data={"a": "1"})
    return [rule("v1"), routes("v1"), old], [rule("v2"), routes("v2"), new]


def state_of(kube, space):
    """What is there, without what differs from run to run."""
    found = {}
    for kind in ("DestinationRule", "VirtualService"):
        for obj in kube.list("networking.istio.io/v1", kind, space).items:
            found[kind, obj["metadata"]["name"]] = obj["spec"], obj["metadata"].get("labels")
    for obj in kube.list("v1", "ConfigMap", space).items:
        if obj["metadata"]["name"] != "kube-root-ca.crt":
            found["ConfigMap", obj["metadata"]["name"]] = obj["data"], obj["metadata"].get("labels")
    return found


def change(run, space, url):
    _unused, after = before_and_after(space)
    return run(host=url, definition=after, mesh_name=space, prune=True)


def prepare(kube, run, space):
    before, _unused = before_and_after(space)
    kube.delete("v1", "ConfigMap", "new", space)
    run(definition=before, mesh_name=space, prune=True, prune_all=True)


def written(kube, space):
    """What :func:`prepare` has written, as a field manager says it."""
    kinds = {"DestinationRule": ("rule", "old"), "VirtualService": ("routes",)}
    found = [
        kube.get("networking.istio.io/v1", kind, name, space)
        for kind, names in kinds.items()
        for name in names
    ]
    said = ("name", "namespace", "labels", "annotations")
    return [
        {
            **{key: live[key] for key in ("apiVersion", "kind", "spec")},
            "metadata": {key: live["metadata"][key] for key in said if key in live["metadata"]},
        }
        for live in found
    ]


def restore(kube, space, before):
    """As :func:`prepare` leaves it, in four requests."""
    kube.delete("v1", "ConfigMap", "new", space)
    for obj in before:
        kube.apply(obj)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_every_request_changes_nothing_about_the_end(kube, run, proxy, space, name):
    prepare(kube, run, space)
    before, begin = written(kube, space), state_of(kube, space)
    proxy.reset()
    expected = change(run, space, proxy.url)
    requests, goal = len(proxy.requests), state_of(kube, space)
    assert expected["counts"] == {
        "created": 1,
        "updated": 2,
        "adopted": 0,
        "deleted": 1,
        "unchanged": 0,
        "held": 0,
    }
    for index in range(requests):
        restore(kube, space, before)
        assert index or state_of(kube, space) == begin
        proxy.reset(Fault(at=index, **FAULTS[name]))
        result = change(run, space, proxy.url)
        assert state_of(kube, space) == goal, f"{name} at request {index}"
        assert result == expected, f"{name} at request {index}"


# Half a JSON is not among them: the second attempt's refusal (409) is known by its status, and is read back.
@pytest.mark.parametrize("name", ["drop-before", "500", "html"])
def test_a_fault_that_stays_is_a_named_error_and_the_rest_is_told(kube, run, proxy, space, name, monkeypatch):
    monkeypatch.setattr(attempts, "RETRY_BUDGET", 0.5)
    prepare(kube, run, space)
    at_write = Fault(
        **FAULTS[name],
        times=1000,
        matches=lambda method, path: "/virtualservices" in path and method == "PATCH",
    )
    proxy.reset(at_write)
    with pytest.raises(ApiError) as caught:
        change(run, space, proxy.url)
    assert f"VirtualService {space}/routes" in caught.value.message + caught.value.subject
    assert {"id": f"ConfigMap {space}/new", "action": "created"} in caught.value.details["objects"]
    assert caught.value.details["not_written"] >= 1
    live = state_of(kube, space)
    subsets = [subset["name"] for subset in live["DestinationRule", "rule"][0]["subsets"]]
    assert subsets == ["v2", "v1"], "the wide state stays: old callers still have their subset"
    assert ("DestinationRule", "old") in live, "nothing is removed before the routes are switched"
    proxy.reset()
    assert change(run, space, proxy.url)["changed"] is True
    prepare_again = state_of(kube, space)
    assert [s["name"] for s in prepare_again["DestinationRule", "rule"][0]["subsets"]] == ["v2"]


def test_answers_that_stay_cut_off_do_not_hide_what_was_written(kube, run, proxy, space):
    prepare(kube, run, space)
    proxy.reset()
    expected, goal = change(run, space, proxy.url), state_of(kube, space)
    prepare(kube, run, space)
    fault = Fault(
        GARBLE, times=1000, matches=lambda method, path: "/virtualservices" in path and method == "PATCH"
    )
    proxy.reset(fault)
    assert change(run, space, proxy.url) == expected
    assert state_of(kube, space) == goal


def test_retry_after_is_obeyed(through, proxy):
    proxy.reset(Fault(STATUS, status=429, retry_after="2"))
    started = time.monotonic()
    through.server_version()
    assert 2.0 <= time.monotonic() - started < 60


def test_a_deadline_ends_the_retries(proxy):
    proxy.reset(Fault(STATUS, status=503, times=10_000))
    started = time.monotonic()
    with (
        connect(ConnectionOptions(host=proxy.url, api_key="x"), deadline=2.0) as client,
        pytest.raises(ApiError),
    ):
        client.server_version()
    assert time.monotonic() - started < 60


def test_a_hung_server_ends_with_the_read_timeout(proxy, monkeypatch):
    monkeypatch.setattr(attempts, "RETRY_BUDGET", 1.0)
    proxy.reset(Fault(DELAY, seconds=3.0, times=100))
    with (
        connect(ConnectionOptions(host=proxy.url, api_key="x")) as client,
        pytest.raises(ApiError, match="no answer in time"),
    ):
        client.request("GET", "/version", timeout=0.3)


def test_a_stop_ends_a_pause(proxy):
    proxy.reset(Fault(STATUS, status=429, retry_after="30", times=100))
    begun = time.monotonic()

    def stop() -> bool:
        return time.monotonic() - begun > 0.5

    with (
        connect(ConnectionOptions(host=proxy.url, api_key="x"), stop=stop) as client,
        pytest.raises(ApiError) as caught,
    ):
        client.server_version()
    assert caught.value.reason == "Interrupted"
    assert time.monotonic() - begun < 25


def test_a_created_object_whose_answer_is_lost_counts_as_created(kube, through, proxy, space):
    wanted = objects.core("v1", "ConfigMap", "c", space, data={"a": "1"})
    through.resource("v1", "ConfigMap")
    proxy.reset(Fault(DROP_AFTER))
    assert through.create(wanted)["data"] == {"a": "1"}
    assert [seen.status for seen in proxy.requests] == [201, 409, 200]
    with pytest.raises(ApiError) as caught:
        through.create(wanted)
    assert caught.value.reason == "AlreadyExists"


def test_a_foreign_object_is_not_taken_for_ours_after_a_lost_answer(kube, through, proxy, space):
    kube.create(objects.core("v1", "ConfigMap", "c", space, data={"a": "foreign"}))
    proxy.reset(Fault(DROP_BEFORE))
    with pytest.raises(ApiError) as caught:
        through.create(objects.core("v1", "ConfigMap", "c", space, data={"a": "1"}))
    assert caught.value.reason == "AlreadyExists"


def test_a_replacement_whose_answer_is_lost_counts_as_done(kube, through, proxy, space):
    live = kube.create(objects.core("v1", "ConfigMap", "c", space, data={"a": "1"}))
    proxy.reset(Fault(DROP_AFTER))
    assert through.replace({**live, "data": {"a": "2"}})["data"] == {"a": "2"}
    with pytest.raises(ApiError) as caught:
        through.replace({**live, "data": {"a": "3"}})
    assert caught.value.status == 409


def test_a_deletion_whose_answer_is_lost_is_done(kube, through, proxy, space):
    live = kube.create(objects.core("v1", "ConfigMap", "c", space, data={}))
    proxy.reset(Fault(DROP_AFTER))
    through.delete("v1", "ConfigMap", "c", space, uid=live["metadata"]["uid"])
    assert kube.get("v1", "ConfigMap", "c", space) is None


def test_an_expired_continue_token_starts_the_list_again(kube, through, proxy, space, monkeypatch):
    monkeypatch.setattr("ansible_collections.servicemesh.istio.plugins.module_utils.kube.client.PAGE", 1)
    for number in range(3):
        kube.apply(objects.core("v1", "ConfigMap", f"c{number}", space, data={}))
    proxy.reset(Fault(STATUS, status=410, matches=lambda method, path: "continue=" in path))
    names = [item["metadata"]["name"] for item in through.list("v1", "ConfigMap", space).items]
    assert len(names) == len(set(names)) >= 3


def test_discovery_that_fails_is_not_a_missing_kind(run, proxy, space, monkeypatch):
    monkeypatch.setattr(attempts, "RETRY_BUDGET", 0.3)
    proxy.reset(Fault(STATUS, status=503, times=1000, matches=lambda method, path: path == "/apis"))
    with pytest.raises(MeshError) as caught:
        change(run, space, proxy.url)
    assert "does not serve" not in caught.value.message
    assert caught.value.status == 503
