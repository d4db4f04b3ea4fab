# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several credentials of which one needs a person: it keeps no other from its renewal."""

from __future__ import annotations

import base64
import copy
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)

from ...support import certificates as made
from .test_edges import CA, GATEWAY, HOME, leaf_of
from .test_outcomes import interrupted
from .test_requested import Company
from .test_rotation import HOST, LEASE, RotatingWorld
from .test_strangers import allowing, refusing

BAD, BAD_HOST = "aaa", "bad.example.com"  # it comes before the other one in every order
BOTH = [
    {
        **GATEWAY,
        "servers": [{"host": BAD_HOST, "certificate": BAD}, {"host": HOST, "certificate": "api"}],
    }
]
Params = dict[str, Any]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    """Both have their pairs, and both are due."""
    made_world = RotatingWorld(monkeypatch)
    assert made_world.rotate(gateways=BOTH)["outcome"] == "renewed"
    made_world.clock.time += 15 * 86400
    made_world.cluster.clock = made_world.now
    made_world.cluster.writes.clear()
    return made_world


def edited(**changes: Any) -> Callable[[RotatingWorld], Params]:
    def edit(world: RotatingWorld) -> Params:
        world.cluster.put({**copy.deepcopy(world.secret(BAD)), **changes})
        return {}

    return edit


def somebody_else_s(world: RotatingWorld) -> Params:
    world.cluster.put({**world.secret(BAD), "metadata": {"name": BAD, "namespace": HOME}})
    return {}


def a_name_that_is_taken(world: RotatingWorld) -> Params:
    world.cluster.put({"kind": "Secret", "metadata": {"name": f"{BAD}-prev", "namespace": HOME}})
    return {}


def pair(world: RotatingWorld, days: int) -> dict[str, str]:
    key = made.ec_key()
    begin, end = world.now - 40 * made.DAY, world.now + datetime.timedelta(days=days)
    leaf = made.certificate("x", key, hosts=(BAD_HOST,), begin=begin, end=end)
    return {"certificate": made.pem(leaf).decode(), "private_key": made.key_pem(key).decode()}


def given_and_over(world: RotatingWorld) -> Params:
    return {"provided": [{"name": BAD, **pair(world, -1)}]}


def written_elsewhere_and_over(world: RotatingWorld) -> Params:
    over = pair(world, -1)
    data = {"tls.crt": over["certificate"], "tls.key": over["private_key"]}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    world.cluster.put({**world.secret(BAD), "data": encoded})
    return {"existing": [BAD]}


def no_cert_manager(_world: RotatingWorld) -> Params:
    return {"cert_manager": [BAD]}


def an_answer_of_another_key(world: RotatingWorld) -> Params:
    company = Company(world.now)
    foreign = pair(world, 30)["certificate"]
    return {"requested": [{"name": BAD, "certificate": foreign, "ca": company.ca}]}


def a_lost_ca(world: RotatingWorld) -> Params:
    """Nothing can be issued; what a person brings is written all the same."""
    key = made.ec_key()
    begin, end = world.now - made.DAY, world.now + 80 * made.DAY
    leaf = made.certificate("x", key, hosts=(HOST,), begin=begin, end=end)
    chain, private = made.pem(leaf).decode(), made.key_pem(key).decode()
    world.cluster.remove("Secret", "servicemesh-ca", CA)
    return {"provided": [{"name": "api", "certificate": chain, "private_key": private}]}


REFUSED = [
    (somebody_else_s, RefusedError, "somebody else made it"),
    (edited(type="Opaque"), RefusedError, "its type is Opaque"),
    (edited(immutable=True), RefusedError, "it is immutable"),
    (a_name_that_is_taken, RefusedError, "aaa-prev is needed for the previous pair"),
    (given_and_over, InputError, r"certificates_provided\[0\]: "),
    (written_elsewhere_and_over, RefusedError, "Secret istio-system/aaa: "),
    (no_cert_manager, RefusedError, "no Certificate writes it"),
    (an_answer_of_another_key, InputError, "answers no request: none waits"),
    (a_lost_ca, RefusedError, r"the CA is gone while its certificates are in use \(Secret istio-system/aaa"),
]


def others(result: dict[str, Any]) -> dict[str, str]:
    return {one["id"].rpartition("/")[2]: one["action"] for one in result["certificates"]}


@pytest.mark.parametrize(
    ("plant", "kind", "said"), REFUSED, ids=[getattr(row[0], "__name__", "") + row[2][:12] for row in REFUSED]
)
def test_one_that_is_refused_is_told_and_the_other_is_renewed(
    world: RotatingWorld, plant: Callable[[RotatingWorld], Params], kind: type[MeshError], said: str
) -> None:
    before = leaf_of(world.secret())["fingerprint_sha256"]
    params = {"gateways": BOTH, "record": True, **plant(world)}
    bad = copy.deepcopy(world.secret(BAD))
    last = (world.cluster.find("Lease", LEASE, HOME) or {})["metadata"].get("annotations")
    with pytest.raises(kind, match=said) as caught:
        world.rotate(**params)
    result = caught.value.details
    assert (result["status"], result["outcome"], result["changed"]) == ("fail", "failed", True)
    assert result["reason"] == caught.value.message
    assert others(result) == {"api": "updated", BAD: "refused"}
    served = leaf_of(world.secret())["fingerprint_sha256"]
    assert served == world.gateways.fingerprint() != before
    assert world.secret(BAD) == bad
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    assert lease["metadata"].get("annotations") == last, "it is no run that went well"
    with pytest.raises(kind, match=said) as caught:
        world.rotate(**params)
    assert others(caught.value.details) == {"api": "unchanged", BAD: "refused"}
    assert leaf_of(world.secret())["fingerprint_sha256"] == served


@pytest.mark.parametrize("check", [False, True])
def test_one_alone_that_is_refused_writes_nothing(world: RotatingWorld, check: bool) -> None:
    somebody_else_s(world)
    only = [{**GATEWAY, "servers": [{"host": BAD_HOST, "certificate": BAD}]}]
    with pytest.raises(RefusedError, match="somebody else made it"):
        world.run(check=check, gateways=only, record=True)
    assert world.cluster.writes == []


def test_check_mode_foresees_the_refusal_and_the_renewal(world: RotatingWorld) -> None:
    somebody_else_s(world)
    with pytest.raises(RefusedError, match="somebody else made it") as caught:
        world.run(check=True, gateways=BOTH)
    assert others(caught.value.details) == {"api": "updated", BAD: "refused"}
    assert [one["id"] for one in caught.value.details["objects"]] == [f"Secret {HOME}/api"]
    assert world.cluster.writes == []


def test_two_that_are_refused_for_different_reasons_are_both_told(world: RotatingWorld) -> None:
    params = given_and_over(world)
    world.cluster.put({**world.secret(), "immutable": True})
    with pytest.raises(MeshError, match=r"certificates_provided\[0\]: .*; Secret .*/api: it is immutable"):
        world.rotate(gateways=BOTH, **params)
    assert world.secrets_written() == []


# What the server says to one write.
@pytest.mark.parametrize("name", [BAD, f"{BAD}-prev"])
def test_one_that_the_server_refuses_is_told_and_the_other_is_renewed(
    world: RotatingWorld, name: str
) -> None:
    bad = copy.deepcopy(world.secret(BAD)["data"])
    before = leaf_of(world.secret())["fingerprint_sha256"]
    refusing(world, "apply", name, "denied: not today")
    with pytest.raises(ApiError, match="not today") as caught:
        world.rotate(gateways=BOTH)
    assert others(caught.value.details) == {"api": "updated", BAD: "refused"}
    assert [one["id"] for one in caught.value.details["objects"]] == [f"Secret {HOME}/api"]
    assert world.secret(BAD)["data"] == bad
    assert leaf_of(world.secret())["fingerprint_sha256"] == world.gateways.fingerprint() != before
    allowing(world)
    assert world.rotate(gateways=BOTH)["outcome"] == "renewed"
    assert world.cluster.find("Secret", f"{BAD}-prev", HOME) is None
    assert world.rotate(gateways=BOTH)["outcome"] == "fresh"


def test_a_server_that_is_gone_ends_the_run_at_once(world: RotatingWorld) -> None:
    world.cluster.fail("apply", "Secret", 503)
    with pytest.raises(ApiError) as caught:
        world.rotate(gateways=BOTH)
    assert caught.value.status == 503
    assert world.secrets_written() == []
    assert world.rotate(gateways=BOTH)["counts"]["updated"] == 2


@pytest.mark.parametrize("lost", [True, False])
def test_a_pair_that_may_not_be_put_back_keeps_no_other_from_its_renewal(
    world: RotatingWorld, lost: bool
) -> None:
    """Of `api` a killed run left the pair before, and its Secret is damaged; the other one is due."""
    interrupted(world)
    world.secret()["data"]["tls.crt"] = base64.b64encode(b"garbage").decode()
    if lost:
        world.cluster.remove("Secret", "api", HOME)
    before = leaf_of(world.secret(BAD))["fingerprint_sha256"]
    refusing(world, "apply", "api", "denied: not today")
    for _run in range(2):
        with pytest.raises(
            MeshError, match=r"cannot be put back, .*-prev keeps it for the next run"
        ) as caught:
            world.rotate(gateways=BOTH)
        assert world.kept is not None
    assert others(caught.value.details)["api"] == "refused"
    assert leaf_of(world.secret(BAD))["fingerprint_sha256"] != before
    allowing(world)
    assert world.rotate(gateways=BOTH)["status"] == "cannot tell", "no Gateway names the other one"
    assert world.kept is None


@pytest.mark.parametrize("goes_well", [True, False])
def test_a_lease_that_cannot_be_given_back_hides_no_end(world: RotatingWorld, goes_well: bool) -> None:
    inner = world.cluster.replace

    def replace(obj: dict[str, Any], **more: Any) -> Any:
        if obj["kind"] == "Lease" and not obj["spec"]["holderIdentity"]:
            raise ApiError("denied: no release today", status=403)
        return inner(obj, **more)

    world.cluster.replace = replace
    if goes_well:
        assert world.rotate(gateways=BOTH, record=True)["outcome"] == "renewed"
    else:
        somebody_else_s(world)
        with pytest.raises(RefusedError, match="somebody else made it"):
            world.rotate(gateways=BOTH, record=True)
    told = ", and that this run went well is not written down" if goes_well else ""
    assert world.warnings == [
        f"the Lease {LEASE} was not given back, and ends by itself{told}: denied: no release today"
    ]
    world.cluster.replace = inner
    assert world.rotate(force=["api"])["outcome"] == "renewed", "the next run waits for its end"


def test_what_is_mended_in_mid_run_is_left_to_the_next_one_where_no_lease_is_held(
    world: RotatingWorld,
) -> None:
    """A namespace that was not there when the Leases were taken."""
    edge = {"workload_namespace": "edge", "service_account": "gateway"}
    both = [GATEWAY, {**edge, "servers": [{"host": BAD_HOST, "certificate": BAD}]}]
    inner = world.cluster.replace

    def replace(obj: dict[str, Any], **more: Any) -> Any:
        world.cluster.put({"kind": "Namespace", "metadata": {"name": "edge"}})
        return inner(obj, **more)

    world.cluster.replace = replace
    with pytest.raises(
        RefusedError, match=r"Secret edge/aaa: what was in its way has gone meanwhile"
    ) as caught:
        world.rotate(gateways=both, force=["api"])
    assert others(caught.value.details) == {"api": "updated", BAD: "refused"}
    assert world.cluster.find("Secret", BAD, "edge") is None
    assert world.rotate(gateways=both)["outcome"] == "renewed"
    assert world.cluster.find("Secret", BAD, "edge") is not None
