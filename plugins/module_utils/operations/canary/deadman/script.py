# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a rollout's deadman Job: when the runner's Lease stands still, it gives the routes back.

It runs alone in a pod, from this file's text, on any image with Python 3.11 or newer; so it has the standard
library only, and no import from this collection. It waits and looks, and acts at most once: take the dead
runner's Lease (a higher fence, so that the runner can never write again), write the routes as it was given
them, release the Lease. The journal stays as the runner left it; ``canary_resume`` or the next call
does the rest (proof, record, report).

Environment: ``DEADMAN`` is JSON with ``lease`` and ``routes`` (paths of the two objects on the API server),
``holder``, ``fence``, ``seconds`` (the Lease's duration), ``annotation`` (of the fence), ``identity``, and
``write``: ``query`` and ``content_type`` of the PATCH, with ``object`` (whole, for server-side apply) or with
``routes`` (name, matches and destinations of each route of the service, for a JSON Patch that leaves
everything else alone), ``hosts`` (what the service may be called there) and ``subsets`` (stable and canary).
``event`` is an Event without its time, or null, and ``notice`` what ``DEADMAN_NOTIFY_URL`` is told, with the
headers (JSON) of ``DEADMAN_NOTIFY_HEADERS``; both only say what was done, and nothing depends on them.
"""

from __future__ import annotations

import copy
import datetime
import http.client
import json
import os
import pathlib
import ssl
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ARMED = "/tmp/armed"  # noqa: S108 - an emptyDir of the pod's own; its readiness probe looks for it
PAUSE = 2.0
GONE = "gone"  # stands for the renewTime of a Lease that is not there
Ask = Callable[..., "tuple[int, dict[str, Any]]"]


def in_cluster(method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
    """One request to the API server with the pod's own account. :returns: status and parsed answer."""
    token = pathlib.Path(ACCOUNT, "token").read_text(encoding="utf-8")  # it is renewed in place
    trust = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13; the CA of an older EKS has no identifiers
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=trust)
    try:
        text = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def attempted(ask: Ask, *arguments: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    """A request whose failure to reach the server counts as status 0.

    :returns: (HTTP status, decoded body).
    """
    try:
        return ask(*arguments, **more)
    except (OSError, ValueError, http.client.HTTPException):
        return 0, {}


def state_of(lease: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """``watched``, ``taken``, or why nobody needs this Job any more."""
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity"):
        return "the rollout has ended"
    if spec["holderIdentity"] == task["identity"]:  # taken, by a pod of this Job that died, or unheard
        return "taken"
    same = (
        spec["holderIdentity"] == task["holder"] and int(spec.get("leaseTransitions") or 0) == task["fence"]
    )
    return "watched" if same else "another runner has taken over"


def given_back(live: Mapping[str, Any], task: Mapping[str, Any]) -> Any:
    """Body of the PATCH that writes the routes at the live object's resourceVersion, with the new fence."""
    write, version = task["write"], live["metadata"]["resourceVersion"]
    fence = {task["annotation"]: str(task["fence"] + 1)}
    if "object" in write:
        body = copy.deepcopy(write["object"])
        body["metadata"]["resourceVersion"] = version
        body["metadata"]["annotations"] = {**(body["metadata"].get("annotations") or {}), **fence}
        return body
    annotations = {**(live["metadata"].get("annotations") or {}), **fence}
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        *(
            {"op": "replace", "path": f"/spec/http/{index}/route", "value": destinations}
            for index, destinations in changes(live["spec"].get("http") or [], write)
        ),
    ]


def changes(live: list[Any], write: Mapping[str, Any]) -> list[tuple[int, Any]]:
    """Which destinations each live route gets back. Its owner may have added, removed or moved routes.

    A route is the same one when name and matches are, and it still sends to the same hosts. In any other the
    canary's part goes to the stable version, where the route has both. Routes of other services stay.

    :param write: ``routes`` of the service before the rollout (name, match, route), its ``hosts``, and both
        ``subsets``, stable first.
    :returns: (index of the live route, destinations).
    """
    left = list(write["routes"])
    found = []
    for index, route in enumerate(live):
        same = next((item for item in left if identity(item) == identity(route)), None)
        if same is not None:
            left.remove(same)
        wanted = same.get("route") if same is not None else without_canary(route, write)
        if wanted is not None and wanted != route.get("route"):
            found.append((index, wanted))
    return found


def without_canary(route: Mapping[str, Any], write: Mapping[str, Any]) -> Any:
    """The destinations of a route without the canary's. :returns: them, or None where it has not both."""
    parts = {
        item["destination"].get("subset"): item
        for item in route.get("route") or []
        if (item.get("destination") or {}).get("host") in write["hosts"]
    }
    if any(subset not in parts for subset in write["subsets"]):
        return None
    stable, canary = (parts[subset] for subset in write["subsets"])
    weight = int(stable.get("weight") or 0) + int(canary.get("weight") or 0)
    return [
        {**item, "weight": weight} if item is stable else item
        for item in route["route"]
        if item is not canary
    ]


def identity(route: Mapping[str, Any]) -> tuple[Any, Any, list[str]]:
    """What a rollout never changes of a route. :returns: name, match, and the hosts it sends to."""
    hosts = {str((item.get("destination") or {}).get("host")) for item in route.get("route") or []}
    return route.get("name"), route.get("match"), sorted(hosts)


def fence_of(live: Mapping[str, Any], task: Mapping[str, Any]) -> int:
    """The fence that the routes bear."""
    return int((live["metadata"].get("annotations") or {}).get(task["annotation"]) or 0)


def now() -> str:
    """The wall clock as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rehearse(ask: Ask, task: Mapping[str, Any]) -> str:
    """Whether the account may do what the Job is for: both writes, as dry runs. :returns: trouble, if any."""
    status, lease = attempted(ask, "GET", task["lease"])
    if status != 200:
        return f"the Lease cannot be read: status {status}"
    status, _none = attempted(ask, "PUT", f"{task['lease']}?dryRun=All", lease)
    if status not in (200, 409):
        return f"the Lease cannot be written: status {status}"
    status, live = attempted(ask, "GET", task["routes"])
    if status != 200:
        return f"the routes cannot be read: status {status}"
    write = task["write"]
    path = f"{task['routes']}?dryRun=All&{write['query']}"
    status, _none = attempted(ask, "PATCH", path, given_back(live, task), content_type=write["content_type"])
    return "" if status in (200, 409, 422) else f"the routes cannot be written: status {status}"


def watch(
    ask: Ask, task: Mapping[str, Any], clock: Callable[[], float], sleep: Callable[[float], None]
) -> Any:
    """Wait until the Lease has stood still for its duration, by this pod's own clock.

    :returns: the Lease as it stands, or the reason for which there is nothing to do.
    """
    seen, since = None, clock()
    while True:
        status, lease = attempted(ask, "GET", task["lease"])
        if status == 404:
            # somebody deleted it: a live runner makes it again with its next renewal
            if seen != GONE:
                seen, since = GONE, clock()
            elif clock() - since >= task["seconds"]:
                return {}
        elif status == 200:
            state = state_of(lease, task)
            if state == "taken":
                return lease
            if state != "watched":
                return state
            if lease["spec"].get("renewTime") != seen:
                seen, since = lease["spec"].get("renewTime"), clock()
            elif clock() - since >= task["seconds"]:
                return lease
        else:
            since = clock()  # who cannot see the Lease does not know that it stands still
        sleep(PAUSE)


def take(ask: Ask, task: Mapping[str, Any], lease: Mapping[str, Any]) -> dict[str, Any] | None:
    """The dead runner's Lease under the next fence. :returns: it, or None when it moved meanwhile."""
    if not lease:
        return {}  # nobody has it; the fence of the routes alone stops the dead runner
    if state_of(lease, task) == "taken":
        return dict(lease)
    spec = {
        **lease["spec"],
        "holderIdentity": task["identity"],
        "acquireTime": now(),
        "renewTime": now(),
        "leaseTransitions": task["fence"] + 1,
    }
    status, taken = attempted(ask, "PUT", task["lease"], {**lease, "spec": spec})
    return taken if status == 200 else None


def give_back(ask: Ask, task: Mapping[str, Any], sleep: Callable[[float], None]) -> str:
    """Write the routes until they stand. :returns: what was done."""
    write = task["write"]
    while True:
        status, live = attempted(ask, "GET", task["routes"])
        if status == 404:
            return "the routes are gone"
        if status == 200:
            if fence_of(live, task) > task["fence"] + 1:
                return "another runner has taken over"
            path = f"{task['routes']}?{write['query']}"
            body = given_back(live, task)
            status, _none = attempted(ask, "PATCH", path, body, content_type=write["content_type"])
            if status == 200:
                return "the runner is dead: the routes are as they were before the rollout"
        sys.stdout.write(f"the routes could not be written: status {status}\n")
        sleep(PAUSE)


def release(ask: Ask, task: Mapping[str, Any], lease: Mapping[str, Any]) -> None:
    """Let go, so that the next runner need not wait. A Lease that stays runs out by itself."""
    if not lease:
        return
    for _turn in range(5):
        status, _none = attempted(
            ask, "PUT", task["lease"], {**lease, "spec": {**lease["spec"], "holderIdentity": ""}}
        )
        if status == 200:
            return
        status, lease = attempted(ask, "GET", task["lease"])
        if status != 200 or lease["spec"].get("holderIdentity") != task["identity"]:
            return


def leave_event(ask: Ask, task: Mapping[str, Any]) -> None:
    """Say on the Deployment what was done."""
    made = task.get("event")
    if made:
        path = f"/apis/{made['apiVersion']}/namespaces/{made['metadata']['namespace']}/events"
        attempted(ask, "POST", path, {**made, "eventTime": now()})


def notify(task: Mapping[str, Any], said: str) -> None:
    """Tell somebody what was done. Redirects are not followed: they would get the headers."""
    try:
        url = urllib.parse.urlsplit(os.environ.get("DEADMAN_NOTIFY_URL", "").strip())
        if url.scheme not in ("http", "https") or not url.hostname:
            return
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        headers = json.loads(os.environ.get("DEADMAN_NOTIFY_HEADERS") or "{}")
        connection = kind(url.hostname, url.port, timeout=5)
        body = json.dumps({**(task.get("notice") or {}), "at": now(), "reason": said})
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, {**headers, "Content-Type": "application/json"})
        status = connection.getresponse().status
        sys.stdout.write(f"the notification was answered with status {status}\n")
    except Exception as error:
        sys.stdout.write(f"the notification was not sent: {type(error).__name__}\n")


def main(
    ask: Ask = in_cluster,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Watch, and give back. :returns: the last word, which the pod logs."""
    task = json.loads(os.environ["DEADMAN"])
    trouble = rehearse(ask, task)
    if trouble:
        raise SystemExit(f"this Job could not help: {trouble}")
    pathlib.Path(ARMED).touch()
    while True:
        lease = watch(ask, task, clock, sleep)
        if isinstance(lease, str):
            return lease
        taken = take(ask, task, lease)
        if taken is not None:
            break
    said = give_back(ask, task, sleep)
    release(ask, task, taken)
    leave_event(ask, task)
    notify(task, said)
    return said


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
