"""Mutilated answers of a real API server: never a defect, never "unchanged" or "absent" by mistake.

``HALF_ANSWERS=2000`` tries that many, ``HALF_ANSWERS_FROM`` says from which number on. What really happened
is asked of the API server directly, with no code of the collection.
"""

from __future__ import annotations

import collections
import http.client
import json
import os
import time
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts

from ...faults.kube_proxy import MUTILATE, Fault, _target
from ...faults.mutilations import mutilation
from . import objects

COUNT = int(os.environ.get("HALF_ANSWERS", "150"))
FIRST = int(os.environ.get("HALF_ANSWERS_FROM", "0"))
# No answer is waited for longer; the pauses between attempts are short.
LONGEST = 20.0


class Direct:
    """The API server itself: plain HTTP and JSON."""

    def __init__(self, kubeconfig: str, work: Any, space: str) -> None:
        address, context = _target(kubeconfig, work)
        self._connection = http.client.HTTPSConnection(address, context=context, timeout=30)
        self._space = space
        self._collections = {
            "ConfigMap": f"/api/v1/namespaces/{space}/configmaps",
            "Secret": f"/api/v1/namespaces/{space}/secrets",
            "DestinationRule": f"/apis/networking.istio.io/v1/namespaces/{space}/destinationrules",
            "VirtualService": f"/apis/networking.istio.io/v1/namespaces/{space}/virtualservices",
        }

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        return json.loads(self._connection.getresponse().read())

    def state(self) -> dict[str, tuple[str, str]]:
        """``Kind/name`` -> what it says, and its version."""
        found = {}
        for kind, path in self._collections.items():
            for obj in self.ask("GET", path)["items"]:
                if obj["metadata"]["name"] == "kube-root-ca.crt":
                    continue
                content = {key: obj.get(key) for key in ("data", "spec")}
                content["labels"] = obj["metadata"].get("labels")
                text = json.dumps(content, sort_keys=True)
                found[f"{kind} {self._space}/{obj['metadata']['name']}"] = (
                    text,
                    obj["metadata"]["resourceVersion"],
                )
        return found

    def clear(self) -> None:
        for path in self._collections.values():
            self.ask("DELETE", path)


def wanted(space: str, number: int) -> list[dict[str, Any]]:
    """A few objects; another number is another content."""
    subsets = [{"name": f"v{number}", "labels": {"v": str(number)}}]
    return [
        objects.core("v1", "ConfigMap", "one", space, data={"a": str(number), "b": "2"}),
        objects.core("v1", "ConfigMap", "two", space, data={"c": "3"}),
        objects.core("v1", "Secret", "three", space, data={"d": "eA=="}, type="Opaque"),
        objects.istio("DestinationRule", "four", space, {"host": "x", "subsets": subsets}),
        objects.istio(
            "VirtualService",
            "five",
            space,
            {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "x"}}]}]},
        ),
    ]


# Each begins with the objects of number 1, all written by us.
OPERATIONS: dict[str, Any] = {
    "unchanged": lambda space: {"definition": wanted(space, 1)},
    "changed": lambda space: {"definition": wanted(space, 2)},
    "created": lambda space: {
        "definition": [*wanted(space, 1), objects.core("v1", "ConfigMap", "new", space, data={})]
    },
    "absent": lambda space: {"definition": wanted(space, 1), "state": "absent"},
    "pruned": lambda space: {"definition": wanted(space, 2)[:3], "mesh_name": space, "prune": True},
    "checked": lambda space: {"definition": wanted(space, 2), "check_mode": True},
    "asked": lambda space: {"definition": wanted(space, 1), "proof": "dry_run"},
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_BASE", 0.01)
    monkeypatch.setattr(attempts, "BACKOFF_CAP", 0.05)
    monkeypatch.setattr(attempts, "RETRY_BUDGET", 1.0)


def contents(state: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Without versions."""
    return {key: value[0] for key, value in state.items()}


def prepared(run, space: str, direct: Direct) -> None:
    labelled = {"definition": wanted(space, 1), "mesh_name": space}
    if {name.split("/")[1] for name in direct.state()} != {"one", "two", "three", "four", "five"}:
        direct.clear()
    run(**labelled, prune=True, prune_all=True)


def judged(name: str, before: dict, after: dict, expected: dict, outcome: Any) -> str:
    """What is wrong with an outcome, "" for nothing. :param expected: the state of an undisturbed run."""
    if isinstance(outcome, MeshError):
        if "defect" in outcome.message or not outcome.message:
            return f"no sentence: {outcome.message!r}"
        for told in outcome.details.get("objects", []):
            there = told["id"] in after
            if there != (told["action"] != "deleted") or after.get(told["id"]) == before.get(told["id"]):
                return f"told as written and is not: {told}"
        return ""
    if contents(after) != expected:
        return f"reported as done, and is not: {contents(after)}"
    touched = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    told = {entry["id"] for entry in outcome["objects"]}
    if name == "checked":
        return "" if not touched and outcome["changed"] else f"check mode: {touched} {outcome}"
    if not touched <= told:
        return f"changed in silence: {sorted(touched - told)}"
    if outcome["changed"] != bool(outcome["objects"]):
        return f"counts differ: {outcome}"
    return ""


def test_half_answers(api, run, proxy, space, tmp_path, impatient):
    direct = Direct(api, tmp_path, space)
    expected, requests = {}, {}
    for name, arguments in OPERATIONS.items():
        prepared(run, space, direct)
        proxy.reset()
        run(host=proxy.url, **{"mesh_name": space, **arguments(space)})
        expected[name] = contents(direct.state())
        requests[name] = len(proxy.requests)
    start: dict[str, str] = {}
    faults: list[str] = []
    seen: collections.Counter[str] = collections.Counter()
    names = list(OPERATIONS)
    for number in range(FIRST, FIRST + COUNT):
        name = names[number % len(names)]
        before = direct.state()
        if contents(before) != start:
            prepared(run, space, direct)
            before = direct.state()
            start = contents(before)
        kind, change = mutilation(number)
        at = (number // len(names)) % requests[name]
        times = 1 + 9 * (number % 2)  # it passes, or it stays
        proxy.reset(Fault(MUTILATE, at=at, times=times, mutilate=change))
        arguments = {"mesh_name": space, **OPERATIONS[name](space)}
        begin = time.monotonic()
        outcome: Any
        try:
            outcome = run(host=proxy.url, **arguments)
            seen["done in spite of it"] += 1
        except MeshError as error:
            outcome = error
            seen[type(error).__name__] += 1
        except Exception as error:  # what a person would read as a defect
            faults.append(f"{number} {name}, {kind} at {at}: {type(error).__name__}: {error}")
            continue
        if time.monotonic() - begin > LONGEST:
            faults.append(f"{number} {name}, {kind} at {at}: it took {time.monotonic() - begin:.0f} s")
        wrong = judged(name, before, direct.state(), expected[name], outcome)
        if wrong:
            faults.append(f"{number} {name}, {kind} at {at}: {wrong}")
    print(dict(seen))
    assert not faults, f"{len(faults)} of {COUNT}:\n" + "\n".join(faults[:40])
    assert min(seen["done in spite of it"], seen["ApiError"]) > COUNT / 10, seen
