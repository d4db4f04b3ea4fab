# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways of several namespaces, and one in which something is forbidden: the others are renewed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    MeshError,
    RefusedError,
)

from ...support import certificates as made
from ...support.access import Access
from ...support.mortal import KilledError
from .test_beside import others
from .test_edges import GATEWAY, HOME
from .test_outcomes import CA, GRANTED, as_operator
from .test_rotation import HOST, LEASE, RotatingWorld, held_by

EDGE, BAD, BAD_HOST = "edge", "aaa", "bad.example.com"  # it comes before the other one in every order
BOTH = [
    {**GATEWAY, "workload_namespace": EDGE, "servers": [{"host": BAD_HOST, "certificate": BAD}]},
    {**GATEWAY, "servers": [{"host": HOST, "certificate": "api"}]},
]
EVERYWHERE = GRANTED | {one._replace(namespace=EDGE) for one in GRANTED if one.namespace == HOME}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    """Both have their pairs, and both are due."""
    made_world = RotatingWorld(monkeypatch)
    made_world.cluster.put({"kind": "Namespace", "metadata": {"name": EDGE}})
    assert made_world.rotate(gateways=BOTH)["outcome"] == "renewed"
    later(made_world)
    return made_world


def later(world: RotatingWorld) -> None:
    world.clock.time += 15 * 86400
    world.cluster.clock = world.now
    world.cluster.writes.clear()


def run(world: RotatingWorld, granted: Iterable[Access], **params: Any) -> dict[str, Any]:
    """:returns: what the run told, whether it ended well or not."""
    try:
        return as_operator(world, granted, {"gateways": BOTH, "overlap": 0, **params})[0]
    except MeshError as error:
        assert error.details["reason"] == error.message
        return {**error.details, "error": error}


def renewed_beside(world: RotatingWorld, bad: dict[str, Any], before: str) -> None:
    """The one is as it was, the other one has a new pair that is served."""
    assert world.cluster.find("Secret", BAD, EDGE) == bad
    assert held_by(world.secret()) == world.gateways.fingerprint() != before
    assert world.kept is None
    assert world.cluster.find("Secret", f"{BAD}-prev", EDGE) is None
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""


NEEDED = {
    ("secrets", "get"),
    ("secrets", "create"),
    ("secrets", "patch"),
    ("secrets", "delete"),
    ("leases", "get"),
    ("leases", "create"),
    ("leases", "update"),
}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(("resource", "verb"), sorted(NEEDED))
def test_a_right_that_is_missing_in_one_namespace_stops_nobody_elsewhere(
    world: RotatingWorld, resource: str, verb: str, check: bool
) -> None:
    bad, before = copy.deepcopy(world.cluster.find("Secret", BAD, EDGE)), held_by(world.secret())
    assert bad is not None
    missing = {one for one in EVERYWHERE if one[1:4] == (resource, verb, EDGE)}
    assert len(missing) == 1
    result = run(world, EVERYWHERE - missing, check=check)
    assert (result["status"], result["outcome"]) == ("fail", "failed")
    assert isinstance(result["error"], ApiError) and result["error"].status == 403
    assert others(result) == {"api": "updated", BAD: "refused"}
    assert [one["id"] for one in result["objects"]] == [f"Secret {HOME}/api"]
    told = result["reason"]
    if verb != "get":
        assert told.startswith(f"nothing was written of Secret {EDGE}/{BAD}: rights are missing: in {EDGE}: ")
    assert f"{resource}" in told and f"{verb}" in told and EDGE in told, told
    assert HOME not in told
    if check:
        assert world.cluster.writes == []
        return
    renewed_beside(world, bad, before)
    again = run(world, EVERYWHERE - missing)
    assert (others(again), again["changed"]) == ({"api": "unchanged", BAD: "refused"}, False)
    done = run(world, EVERYWHERE)
    assert done["outcome"] == "renewed"
    assert others(done) == {"api": "unchanged", BAD: "updated"}


def test_rights_that_are_missing_in_one_namespace_are_all_told(world: RotatingWorld) -> None:
    looking = {one for one in EVERYWHERE if one.namespace != EDGE or one.verb in ("get", "list")}
    assert run(world, looking)["reason"] == (
        f"nothing was written of Secret {EDGE}/{BAD}: rights are missing: "
        f"in {EDGE}: create on leases.coordination.k8s.io; "
        f"in {EDGE}: update on leases.coordination.k8s.io '{LEASE}'; "
        f"in {EDGE}: patch on secrets '{BAD}'; in {EDGE}: patch, create, delete on secrets '{BAD}-prev'"
    )


def test_a_namespace_that_may_not_be_looked_at_stops_nobody_elsewhere(world: RotatingWorld) -> None:
    bad, before = copy.deepcopy(world.cluster.find("Secret", BAD, EDGE)), held_by(world.secret())
    assert bad is not None
    inner = world.cluster.get

    def get(api: str, kind: str, name: str, namespace: str | None = None) -> Any:
        if kind == "Namespace" and name == EDGE:
            raise ApiError("namespaces 'edge' is forbidden", status=403)
        return inner(api, kind, name, namespace)

    world.cluster.get = get
    with pytest.raises(ApiError, match=r"^namespaces 'edge' is forbidden$") as caught:
        world.rotate(gateways=BOTH)
    assert others(caught.value.details) == {"api": "updated", BAD: "refused"}
    renewed_beside(world, bad, before)


def test_a_lease_that_the_server_refuses_stops_nobody_elsewhere(world: RotatingWorld) -> None:
    """What asks for rights cannot know of a policy or a quota."""
    bad, before = copy.deepcopy(world.cluster.find("Secret", BAD, EDGE)), held_by(world.secret())
    assert bad is not None
    inner = world.cluster.replace

    def replace(obj: dict[str, Any], **more: Any) -> Any:
        if obj["kind"] == "Lease" and obj["metadata"]["namespace"] == EDGE:
            raise ApiError("denied: no leases here", status=422)
        return inner(obj, **more)

    world.cluster.replace = replace
    with pytest.raises(ApiError, match=r"^denied: no leases here$") as caught:
        world.rotate(gateways=BOTH)
    assert others(caught.value.details) == {"api": "updated", BAD: "refused"}
    renewed_beside(world, bad, before)
    only = [{**GATEWAY, "workload_namespace": EDGE, "servers": [{"host": BAD_HOST, "certificate": BAD}]}]
    with pytest.raises(ApiError, match=r"^denied: no leases here$"):
        world.rotate(gateways=only)
    assert world.cluster.find("Secret", BAD, EDGE) == bad


@pytest.mark.parametrize("beside", [[], [{"name": "api"}]])
def test_no_ca_is_made_where_nobody_may_be_issued_for(
    monkeypatch: pytest.MonkeyPatch, beside: list[dict[str, str]]
) -> None:
    """The first run, which gets no Lease where it would issue, but perhaps one where it asks for a pair."""
    world = RotatingWorld(monkeypatch)
    world.cluster.put({"kind": "Namespace", "metadata": {"name": EDGE}})
    inner = world.cluster.create

    def create(obj: dict[str, Any], **more: Any) -> Any:
        if obj["kind"] == "Lease" and obj["metadata"]["namespace"] == EDGE:
            raise ApiError("denied: no leases here", status=422)
        return inner(obj, **more)

    monkeypatch.setattr(world.cluster, "create", create)
    with pytest.raises(ApiError, match=r"^denied: no leases here$"):
        world.rotate(gateways=BOTH if beside else BOTH[:1], requested=beside)
    written = [what for _verb, what in world.cluster.writes if not what.startswith("Lease ")]
    assert written == [f"Secret {HOME}/api-request"] * len(beside)


@pytest.mark.parametrize("status", [401, 503])
def test_a_server_that_answers_nobody_ends_the_run(world: RotatingWorld, status: int) -> None:
    inner = world.cluster.replace

    def replace(obj: dict[str, Any], **more: Any) -> Any:
        if obj["kind"] == "Lease" and obj["metadata"]["namespace"] == EDGE:
            raise ApiError("no answer", status=status)
        return inner(obj, **more)

    world.cluster.replace = replace
    with pytest.raises(ApiError, match=r"^no answer$"):
        world.rotate(gateways=BOTH)
    assert [what for _verb, what in world.cluster.writes if what.startswith("Secret")] == []


def test_a_server_that_goes_away_while_secrets_are_read_is_no_word_on_any_of_them(
    world: RotatingWorld,
) -> None:
    inner = world.cluster.get

    def get(api_version: str, kind: str, *rest: Any, **more: Any) -> Any:
        if kind == "Secret":
            raise ApiError("no answer", status=503)
        return inner(api_version, kind, *rest, **more)

    world.cluster.get = get
    with pytest.raises(ApiError, match=r"^no answer$") as caught:
        world.rotate(gateways=BOTH)
    assert "certificates" not in caught.value.details


@pytest.mark.parametrize("verb", ["get", "create", "patch"])
def test_a_ca_that_is_out_of_reach_leaves_what_it_would_issue(world: RotatingWorld, verb: str) -> None:
    """A pair that a person brings needs no CA."""
    if verb != "get":
        world.cluster.remove("Secret", "servicemesh-ca", CA)
    granted = {one for one in EVERYWHERE if one[1:4] != ("secrets", verb, CA)}
    leaf, key = world.secret()["data"]["tls.crt"], world.secret()["data"]["tls.key"]
    provided = [{"name": BAD, **pair_of(world)}]
    result = run(world, granted, provided=provided, replace_lost_ca=verb != "get")
    if verb == "patch":
        assert "error" not in result, "a CA that is made needs none"
        return
    assert others(result) == {"api": "refused", BAD: "updated"}
    assert CA in result["reason"] and verb in result["reason"]
    assert (world.secret()["data"]["tls.crt"], world.secret()["data"]["tls.key"]) == (leaf, key)
    assert world.cluster.find("Secret", "servicemesh-ca", CA) is None or verb == "get"


def pair_of(world: RotatingWorld) -> dict[str, str]:
    key = made.ec_key()
    begin, end = world.now - made.DAY, world.now + 80 * made.DAY
    leaf = made.certificate("x", key, hosts=(BAD_HOST,), begin=begin, end=end)
    return {"certificate": made.pem(leaf).decode(), "private_key": made.key_pem(key).decode()}


@pytest.mark.parametrize("replace_lost", [False, True])
def test_no_ca_is_made_while_somebody_may_still_use_an_earlier_one(
    world: RotatingWorld, replace_lost: bool
) -> None:
    """Of what was not looked at nobody knows who issued it."""
    world.cluster.remove("Secret", "servicemesh-ca", CA)
    world.cluster.remove("Secret", "api", HOME)
    missing = {one for one in EVERYWHERE if one[1:4] == ("secrets", "get", EDGE)}
    result = run(world, EVERYWHERE - missing, replace_lost_ca=replace_lost)
    made_one = world.cluster.find("Secret", "servicemesh-ca", CA) is not None
    assert made_one is replace_lost
    if replace_lost:
        assert others(result) == {"api": "created", BAD: "refused"}
        return
    assert others(result) == {"api": "refused", BAD: "refused"}
    assert isinstance(result["error"], MeshError)
    text = "there is none, and whether certificates of an earlier one are in use cannot be told: "
    assert f"Secret {CA}/servicemesh-ca: {text}" in result["reason"]
    world.cluster.put({"kind": "Namespace", "metadata": {"name": CA}})
    with pytest.raises(RefusedError, match="the CA is gone while its certificates are in use"):
        world.rotate(gateways=BOTH)


def test_a_pair_that_a_person_brings_is_no_sign_of_an_earlier_ca(world: RotatingWorld) -> None:
    world.cluster.remove("Secret", "servicemesh-ca", CA)
    world.cluster.remove("Secret", "api", HOME)
    missing = {one for one in EVERYWHERE if one[1:4] == ("secrets", "get", EDGE)}
    result = run(world, EVERYWHERE - missing, provided=[{"name": BAD, **pair_of(world)}])
    assert others(result) == {"api": "created", BAD: "refused"}


def test_the_leases_of_a_killed_run_are_waited_for_once(world: RotatingWorld) -> None:
    """Not once for each namespace: with twenty of them the first one would have gone to somebody else."""
    world.cluster.kill_at = world.cluster.count + 45
    with pytest.raises(KilledError):
        world.run(gateways=BOTH, timeout=20)
    world.cluster.dead, world.cluster.kill_at = False, 0
    homes = [world.cluster.find("Lease", LEASE, home) for home in (EDGE, HOME)]
    assert all(lease is not None and lease["spec"]["holderIdentity"] for lease in homes)
    begin = world.clock.time
    world.cluster.clock = world.now
    world.run(gateways=BOTH, timeout=20, overlap=0, force=[f"{HOME}/api", f"{EDGE}/{BAD}"])
    assert 30 <= world.clock.time - begin < 40


@pytest.mark.parametrize("status", [403, 422, 500])
def test_a_lease_that_is_lost_to_the_server_in_mid_run_stops_nobody_elsewhere(
    world: RotatingWorld, status: int
) -> None:
    """A right that is withdrawn while the other one's overlap passes; what was written of one is told."""
    before = held_by(world.secret())
    inner, renewals = world.cluster.replace, [0]

    def replace(obj: dict[str, Any], **more: Any) -> Any:
        if obj["kind"] == "Lease" and obj["metadata"]["namespace"] == EDGE:
            renewals[0] += 1
            if renewals[0] > 1:
                raise ApiError("no leases here any more", status=status)
        return inner(obj, **more)

    world.cluster.replace = replace
    with pytest.raises(ApiError, match=r"^no leases here any more$") as caught:
        world.rotate(gateways=BOTH[::-1], overlap=45)
    assert others(caught.value.details)["api"] == "updated"
    assert held_by(world.secret()) == world.gateways.fingerprint() != before
    assert world.kept is None
    world.cluster.replace = inner
    assert world.rotate(gateways=BOTH)["status"] == "cannot tell", "no Gateway names the other one"
    assert world.cluster.find("Secret", f"{BAD}-prev", EDGE) is None
    assert world.rotate(gateways=BOTH)["outcome"] == "fresh"
