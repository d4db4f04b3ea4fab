# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a run can end: check mode foresees it, and the rights of the table are enough for it.

A right that is missing is noticed before the first write, whichever it is.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import result

from ...support import certificates as made
from ...support.access import Access, Restricted, granted_by
from .test_cert_manager import Controller
from .test_edges import GATEWAY, HOME
from .test_requested import Company
from .test_rotation import HOST, RotatingWorld

CA = "servicemesh-system"
# The file leaves out what only an option needs; the guide of rights names it.
GRANTED = granted_by("parts/certificates.yaml") | {
    Access("cert-manager.io", resource, verb, HOME)
    for resource, verb in (
        ("certificates", "get"),
        ("certificates", "list"),
        ("certificates/status", "patch"),
    )
}
Params = dict[str, Any]


def begun(world: RotatingWorld) -> None:
    """A first pair is served."""
    assert world.rotate()["status"] == "pass"
    world.gateways.known = {world.gateways.serving}


def nothing(_world: RotatingWorld) -> Params:
    return {}


def forced(world: RotatingWorld) -> Params:
    begun(world)
    return {"force": ["api"]}


def leaked(world: RotatingWorld) -> Params:
    begun(world)
    return {"revoke": ["api"]}


def a_key_too_many(world: RotatingWorld) -> Params:
    begun(world)
    world.secret()["data"]["cert"] = base64.b64encode(b"x").decode()
    return {}


def a_host_more(world: RotatingWorld) -> Params:
    begun(world)
    servers = [{"host": host, "certificate": "api"} for host in (HOST, "b.example.com")]
    return {"gateways": [{**GATEWAY, "servers": servers}]}


def asked_for(world: RotatingWorld) -> Params:
    begun(world)
    return {"requested": [{"name": "api"}], "force": ["api"]}


def answered(world: RotatingWorld) -> Params:
    company = Company(world.now)
    begun(world)
    request = world.rotate(requested=[{"name": "api"}], force=["api"])["certificates"][0]["request"]
    company.now = world.now
    return {"requested": [{"name": "api", "certificate": company.answer(request)}]}


def brought(world: RotatingWorld) -> Params:
    begun(world)
    key = made.ec_key()
    dates = {"begin": world.now - made.DAY, "end": world.now + 60 * made.DAY}
    leaf = made.certificate("x", key, hosts=(HOST,), issuer=("root", made.ROOT_KEY), **dates)
    pair = {"certificate": made.pem(leaf).decode(), "private_key": made.key_pem(key).decode()}
    return {"provided": [{"name": "api", **pair}]}


def clients_known(world: RotatingWorld) -> Params:
    begun(world)
    return {"client_cas": [{"name": "api", "ca": Company(world.now).ca}]}


def clients_replaced(world: RotatingWorld) -> Params:
    world.rotate(**clients_known(world))
    return {"client_cas": [{"name": "api", "ca": Company(world.now).ca}]}


def a_lost_ca(world: RotatingWorld) -> Params:
    begun(world)
    world.cluster.remove("Secret", "servicemesh-ca", CA)
    return {"replace_lost_ca": True}


def a_broken_ca(world: RotatingWorld) -> Params:
    begun(world)
    world.secret("servicemesh-ca", CA)["data"]["tls.key"] = ""
    return {"replace_lost_ca": True}


def cert_manager_s(world: RotatingWorld) -> Params:
    Controller(world).issue()
    world.gateways.sync()
    return {"cert_manager": ["api"], "force": ["api"]}


def recorded(world: RotatingWorld) -> Params:
    begun(world)
    return {"record": True}


def interrupted(world: RotatingWorld) -> Params:
    if not world.gateways.known:
        begun(world)
    kept = copy.deepcopy(world.secret())
    marks = {"servicemesh.istio/previous-of": "api"}
    kept["metadata"] = {**kept["metadata"], "name": "api-prev", "annotations": marks}
    world.cluster.put(kept)
    return {}


ENDS = [
    (nothing, "renewed"),
    (forced, "renewed"),
    (leaked, "renewed"),
    (a_key_too_many, "renewed"),
    (a_host_more, "renewed"),
    (asked_for, "due"),
    (answered, "renewed"),
    (brought, "renewed"),
    (clients_known, "renewed"),
    (clients_replaced, "renewed"),
    (a_lost_ca, "renewed"),
    (a_broken_ca, "renewed"),
    (cert_manager_s, "renewed"),
    (recorded, "fresh"),
    (interrupted, "fresh"),
]
each = pytest.mark.parametrize(
    ("prepare", "outcome"), ENDS, ids=[prepare.__name__ for prepare, _outcome in ENDS]
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return RotatingWorld(monkeypatch)


def as_operator(
    world: RotatingWorld, granted: Iterable[Access], params: Params
) -> tuple[dict[str, Any], set[Access]]:
    """A run of a user who has these rights and no others. :returns: its result, and what was refused."""
    inner = world.cluster
    operator = Restricted(inner, granted)
    world.cluster = operator
    try:
        return world.run(timeout=20, **params), operator.refused
    finally:
        world.cluster = inner


@each
def test_check_mode_foresees_what_a_run_does(
    world: RotatingWorld, prepare: Callable[[RotatingWorld], Params], outcome: str
) -> None:
    params = prepare(world)
    world.cluster.writes.clear()
    foreseen = world.run(check=True, timeout=20, **params)
    assert world.cluster.writes == []
    done = world.run(timeout=20, **params)
    assert (done["outcome"], foreseen["outcome"]) == (outcome, outcome)
    told = [{name: result[name] for name in ("changed", "objects", "counts")} for result in (foreseen, done)]
    assert told[0] == told[1]
    headers = [[one["after_header"] for one in result["diff"]] for result in (foreseen, done)]
    assert headers[0] == headers[1]


@each
def test_the_rights_of_the_table_are_enough(
    world: RotatingWorld, prepare: Callable[[RotatingWorld], Params], outcome: str
) -> None:
    params = prepare(world)
    result, refused = as_operator(world, GRANTED, params)
    assert (result["outcome"], refused) == (outcome, set())


@pytest.mark.parametrize("prepare", [nothing, forced, leaked, answered, a_broken_ca, clients_replaced])
def test_a_right_that_is_missing_is_noticed_before_the_first_write(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[RotatingWorld], Params]
) -> None:
    told: dict[str, str] = {}
    for missing in sorted(GRANTED):
        world = RotatingWorld(monkeypatch)
        params = prepare(world)
        world.cluster.writes.clear()
        try:
            as_operator(world, GRANTED - {missing}, params)
        except (ApiError, RefusedError) as error:
            told[f"{missing.verb} {missing.resource} {missing.namespace}"] = str(error)
            assert world.cluster.writes == [], missing
        else:
            assert world.kept is None
    assert len(told) > 5, "some of them are needed"
    writing = {name: text for name, text in told.items() if name.split()[0] not in ("get", "list")}
    assert writing
    assert all(text.startswith("nothing was written: rights are missing: in ") for text in writing.values())


def test_a_user_who_may_only_look_is_told_everything_that_is_missing(world: RotatingWorld) -> None:
    params = forced(world)
    world.cluster.writes.clear()
    looking = {access for access in GRANTED if access.verb in ("get", "list")}
    for check in (True, False):
        with pytest.raises(ApiError) as caught:
            as_operator(world, looking, {**params, "check": check})
        assert str(caught.value) == (
            "nothing was written: rights are missing: in istio-system: create on leases.coordination.k8s.io; "
            "in istio-system: update on leases.coordination.k8s.io 'servicemesh-certificates'; "
            "in istio-system: patch on secrets 'api'; "
            "in istio-system: patch, create, delete on secrets 'api-prev'"
        )
    result, _refused = as_operator(world, looking, {})
    assert result["outcome"] == "fresh"
    assert world.cluster.writes == []


def test_who_may_not_even_ask_learns_it_from_the_writes(
    world: RotatingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = forced(world)
    request = world.cluster.request

    def refusing(method: str, path: str, **more: Any) -> Any:
        if path.endswith("selfsubjectaccessreviews"):
            raise ApiError("no reviews here", status=403, reason="Forbidden")
        return request(method, path, **more)

    monkeypatch.setattr(world.cluster, "request", refusing)
    assert world.rotate(**params)["outcome"] == "renewed"


@pytest.mark.parametrize(
    ("action", "more", "told"),
    [
        ("renew", {"restored": True}, "restored"),
        ("renew", {}, "updated"),
        ("refuse", {}, "refused"),
        ("refuse", {"manager": "cert-manager"}, "refused"),
        ("renew", {"manager": "cert-manager"}, "unchanged"),
        ("trigger", {"manager": "cert-manager", "told": True}, "updated"),
        ("create", {"manager": "cert-manager", "renewed": True}, "created"),
    ],
)
def test_what_was_done_in_a_word(action: str, more: dict[str, Any], told: str) -> None:
    """Of what another controller keeps, nothing was done unless it was told, or has renewed it itself."""
    item = {"restored": False, "manager": None, "told": False, "renewed": False, **more}
    found: Any = SimpleNamespace(assessment=SimpleNamespace(action=action), **item)
    assert result._action(found) == told
