# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States and faults that are nobody's plan: names that are two, unserved hosts, servers that say no."""

from __future__ import annotations

import base64
import copy
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import read_chain
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import proof

from ...support import certificates as made
from ...support.mortal import KilledError
from .test_edges import GATEWAY, HOME
from .test_outcomes import a_key_too_many, interrupted
from .test_requested import Company
from .test_rotation import HOST, LEASE, RotatingWorld, held_by, rotated_once

OTHER = "b.example.com"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return rotated_once(monkeypatch)


def for_hosts(*hosts: str) -> list[dict[str, Any]]:
    return [{**GATEWAY, "servers": [{"host": host, "certificate": "api"} for host in hosts]}]


def expose(world: RotatingWorld, *hosts: str, name: str = "public", home: str = HOME, **tls: Any) -> None:
    """A Gateway with one server."""
    tls = tls or {"credentialName": "api"}
    server = {"hosts": list(hosts), "port": {"number": 443}, "tls": {"mode": "SIMPLE", **tls}}
    metadata = {"name": name, "namespace": home}
    spec = {"selector": {"istio": "gw"}, "servers": [server]}
    api = "networking.istio.io/v1"
    world.cluster.put({"apiVersion": api, "kind": "Gateway", "metadata": metadata, "spec": spec})


def proof_of(result: dict[str, Any]) -> tuple[str, str]:
    (certificate,) = result["certificates"]
    return certificate["proof"]["status"], certificate["proof"]["evidence"].partition(" present")[0]


# Names that are two.
PAIR = {"certificate": made.pem(made.LEAF).decode(), "private_key": made.key_pem(made.LEAF_KEY).decode()}
TWO_HOMES = [
    {"workload_namespace": home, "service_account": "gateway", "servers": GATEWAY["servers"]}
    for home in (HOME, "edge")
]


@pytest.mark.parametrize(
    ("option", "value", "place"),
    [
        ("force", ["api"], "certificates_force[0]"),
        ("revoke", ["api"], "certificates_revoke[0]"),
        ("existing", ["api"], "certificates_existing[0]"),
        ("cert_manager", ["api"], "certificates_cert_manager[0]"),
        ("provided", [{"name": "api", **PAIR}], "certificates_provided[0]"),
        ("requested", [{"name": "api"}], "certificates_requested[0]"),
        ("client_cas", [{"name": "api", "ca": made.pem(made.ROOT).decode()}], "certificates_client_cas[0]"),
    ],
)
def test_which_of_two_credentials_is_meant_is_never_guessed(
    world: RotatingWorld, option: str, value: list[Any], place: str
) -> None:
    with pytest.raises(InputError) as caught:
        world.run(gateways=TWO_HOMES, **{option: value})
    assert str(caught.value) == (
        f"{place}: several gateways have a credential api (namespaces edge, istio-system): "
        "say which namespace is meant (ambiguous)"
    )
    assert world.cluster.writes == []


def test_one_of_two_credentials_is_forced_by_its_namespace(world: RotatingWorld) -> None:
    world.cluster.put({"kind": "Namespace", "metadata": {"name": "edge"}})
    world.rotate(gateways=TWO_HOMES)
    done = world.rotate(gateways=TWO_HOMES, force=["istio-system/api"])
    assert [one["id"] for one in done["objects"]] == ["Secret istio-system/api"]


# Hosts that nobody serves, and Gateways of other shapes than the catalogue's.
@pytest.mark.parametrize(
    ("hosts", "gateway", "status", "evidence"),
    [
        ((HOST, OTHER), (HOST, OTHER), "pass", "2 handshakes"),
        ((HOST, OTHER), (HOST,), "cannot tell", "1 handshakes"),
        ((HOST, OTHER), ("*.example.com",), "pass", "2 handshakes"),
        ((HOST, OTHER), (f"shop/{HOST}", f"./{OTHER}"), "pass", "2 handshakes"),
        ((HOST, OTHER), (HOST, "*.example.com"), "pass", "2 handshakes"),
        ((HOST, OTHER), ("*",), "pass", "2 handshakes"),
        (("*.example.com", HOST), ("*.example.com", HOST), "pass", "2 handshakes"),
        (("*.example.com", HOST), (HOST,), "cannot tell", "1 handshakes"),
        (("*.example.com",), (HOST,), "pass", "1 handshakes"),
        (("*.example.com",), ("*.shop.example.com",), "cannot tell", "no running gateway pod is told by a"),
        ((HOST,), (OTHER,), "cannot tell", "no running gateway pod is told by a"),
    ],
)
def test_a_pass_is_one_about_every_host(
    monkeypatch: pytest.MonkeyPatch,
    hosts: tuple[str, ...],
    gateway: tuple[str, ...],
    status: str,
    evidence: str,
) -> None:
    world = RotatingWorld(monkeypatch)
    expose(world, *gateway)
    for result in (world.rotate(gateways=for_hosts(*hosts)), world.rotate(gateways=for_hosts(*hosts))):
        seen = proof_of(result)
        assert (seen[0], seen[1][: len(evidence)]) == (status, evidence)


def test_the_hosts_that_no_gateway_serves_are_named(world: RotatingWorld) -> None:
    result = world.rotate(gateways=for_hosts(HOST, OTHER))
    assert (result["status"], result["outcome"]) == ("cannot tell", "renewed")
    assert result["reason"].endswith(f", but no Gateway serves {OTHER} with it yet")
    again = world.rotate(gateways=for_hosts(HOST, OTHER))
    assert again["changed"] is False
    assert again["reason"] == result["reason"]


def test_a_gateway_of_another_namespace_that_selects_the_pods_counts(world: RotatingWorld) -> None:
    expose(world, OTHER, name="far", home="shop")
    assert proof_of(world.rotate(gateways=for_hosts(HOST, OTHER))) == ("pass", "2 handshakes")


def test_a_server_with_several_credentials_is_asked_for_each_of_them(world: RotatingWorld) -> None:
    """A client of such a server sees the one that its ciphers choose; the proxy holds both."""
    expose(world, HOST, credentialNames=["rsa", "api"])
    seen = held_by(world.secret())
    assert proof_of(world.rotate()) == ("pass", "1 handshakes")
    held = world.secret()["data"]["tls.crt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", lambda *_rest: "of the other one")
        with pytest.raises(MeshError, match="the proxy of pod gw-1 does not hold it"):
            world.run(timeout=20)
        secrets = f'{{"configs": [{{"name": "kubernetes://api", "secret": {{"tls_certificate": \
{{"certificate_chain": {{"inline_bytes": "{held}"}}}}}}}}]}}'
        world.cluster.on_ask = lambda *_rest: secrets
        result = world.run(timeout=20)
    (certificate,) = result["certificates"]
    assert (certificate["proof"]["status"], certificate["proof"]["method"]) == ("pass", "proxy secret")
    assert certificate["fingerprint_sha256"] == seen


# What changes while a run looks.
def looks(world: RotatingWorld, change: Any, at: int) -> Iterator[str]:
    """What one pod serves, look after look; before one of them something else happens."""
    number = 0
    while True:
        number += 1
        if number == at:
            change()
        yield world.gateways.fingerprint()


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("refuses", [False, True])
def test_a_gateway_that_names_another_credential_in_mid_run(
    world: RotatingWorld, at: int, refuses: bool
) -> None:
    """Nobody serves it any more: nothing was refused, and nothing is proved."""
    world.gateways.refuse_new = refuses
    served = looks(world, lambda: expose(world, HOST, credentialName="other"), at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", lambda *_rest: next(served))
        result = world.rotate(force=["api"])
    assert (result["status"], result["certificates"][0]["action"]) == ("cannot tell", "updated")
    assert "no running gateway pod is told by a Gateway to serve it" in result["reason"]
    assert world.kept is None


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_gateway_whose_only_pod_is_replaced_in_mid_run(world: RotatingWorld, at: int) -> None:
    """What the pod that went away had served says nothing; the one that comes is looked at, and takes it."""
    world.gateways.refuse_new = True
    pod = world.cluster.find("Pod", "gw-1", HOME)
    assert pod is not None
    gone_since: list[float] = []

    def leave() -> None:
        world.cluster.put({**pod, "status": {"phase": "Pending"}})
        gone_since.append(world.clock.time)

    sleep = world.clock.sleep

    def coming(seconds: float) -> None:
        sleep(seconds)
        if gone_since and world.clock.time - gone_since[0] > 8:
            world.gateways.refuse_new = False
            world.cluster.put(pod)

    if at == 0:  # before anybody looks
        leave()
    served = looks(world, leave, at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.clock, "sleep", coming)
        patch.setattr(proof, "served_fingerprint", lambda *_rest: next(served))
        result = world.rotate(force=["api"])
    assert (result["status"], result["outcome"]) == ("pass", "renewed")
    assert gone_since


def test_a_pod_that_never_comes_is_waited_for_until_the_limit(world: RotatingWorld) -> None:
    pod = world.cluster.find("Pod", "gw-1", HOME)
    assert pod is not None
    world.cluster.put({**pod, "status": {"phase": "Pending"}})
    begin = world.clock.time
    result = world.run(force=["api"], timeout=40, overlap=0)
    assert (result["status"], 40 <= world.clock.time - begin < 50) == ("cannot tell", True)
    assert world.run(check=True, timeout=40)["status"] == "cannot tell"


READY = [{"type": "Ready", "status": "True"}]


def two_pods(world: RotatingWorld, *, first_is_ready: bool, broken: str) -> Any:
    """Two pods of the gateway, of which the second never gets ready; one of them completes no handshake.

    :returns: what stands for a handshake.
    """
    pod = world.cluster.find("Pod", "gw-1", HOME)
    assert pod is not None
    labels = pod["metadata"]["labels"]
    conditions = READY if first_is_ready else []
    world.cluster.put({**pod, "status": {**pod["status"], "conditions": conditions}})
    world.cluster.put(
        {
            "kind": "Pod",
            "metadata": {"name": "gw-2", "namespace": HOME, "labels": labels},
            "status": {"phase": "Running", "podIP": "10.0.0.2"},
        }
    )
    serving = world.gateways.fingerprint

    def answer(endpoint: Any, *_roots: Any) -> str:
        if endpoint.pod == broken:
            raise ConnectionRefusedError("refused")
        return serving()

    return answer


def test_a_pod_that_never_gets_ready_keeps_no_other_from_its_certificate(
    world: RotatingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.gateways.serving
    answer = two_pods(world, first_is_ready=True, broken="gw-2")
    monkeypatch.setattr(proof, "served_fingerprint", answer)
    begin = world.clock.time
    result = world.run(force=["api"], timeout=40, overlap=0)
    assert 40 <= world.clock.time - begin < 60, "it may still come"
    assert (result["status"], result["outcome"]) == ("cannot tell", "renewed")
    assert result["reason"].startswith("Secret istio-system/api: 1 handshakes present ")
    assert ", but not ready: gw-2; " in result["reason"]
    assert held_by(world.secret()) == world.gateways.serving != before
    assert world.kept is None
    world.cluster.writes.clear()
    assert world.run(check=True)["status"] == "cannot tell"
    assert world.cluster.writes == []


@pytest.mark.parametrize(("ready", "broken"), [(True, "gw-1"), (False, "gw-2")])
def test_a_ready_pod_that_serves_nothing_and_a_gateway_without_a_ready_pod_are_a_fail(
    world: RotatingWorld, monkeypatch: pytest.MonkeyPatch, ready: bool, broken: str
) -> None:
    old = held_by(world.secret())
    answer = two_pods(world, first_is_ready=ready, broken=broken)
    monkeypatch.setattr(proof, "served_fingerprint", answer)
    with pytest.raises(MeshError, match="the previous certificate is back"):
        world.run(force=["api"], timeout=20, overlap=0)
    assert held_by(world.secret()) == old
    with pytest.raises(MeshError, match=r"^fail: "):
        world.run(check=True)


# Servers that say no.
def refusing(world: RotatingWorld, verb: str, name: str, message: str, after: int = 0) -> list[int]:
    """Refuses a write of a Secret from some number on. :returns: how often it was tried, in one number."""
    inner, tried = world.cluster._call, [0]

    def call(*arguments: Any, **more: Any) -> Any:
        if arguments[:2] == (verb, "Secret") and more.get("name") == name:
            tried[0] += 1
            if tried[0] > after:
                raise ApiError(message, status=403, reason="Forbidden")
        return inner(*arguments, **more)

    world.cluster._call = call
    return tried


def allowing(world: RotatingWorld) -> None:
    del world.cluster._call  # the method of its class again


QUOTA = 'secrets "api-prev" is forbidden: exceeded quota: few, requested: count/secrets=1, limited: 9'
WEBHOOK = 'admission webhook "keys.example.com" denied the request: not today'


def test_a_quota_that_leaves_no_room_for_the_kept_pair_stops_before_anything(world: RotatingWorld) -> None:
    served = world.gateways.serving
    refusing(world, "apply", "api-prev", QUOTA)
    with pytest.raises(ApiError, match="exceeded quota"):
        world.rotate(force=["api"])
    assert held_by(world.secret()) == served
    assert world.kept is None
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""


def test_a_webhook_that_denies_the_new_pair_leaves_the_old_one(world: RotatingWorld) -> None:
    served = world.gateways.serving
    refusing(world, "apply", "api", WEBHOOK)
    with pytest.raises(ApiError, match="not today"):
        world.rotate(force=["api"])
    assert held_by(world.secret()) == served == world.gateways.fingerprint()
    allowing(world)
    assert world.rotate()["outcome"] == "fresh"
    assert world.kept is None


@pytest.mark.parametrize("params", [{}, {"force": ["api"]}])
def test_a_webhook_that_denies_the_way_back_is_told_and_the_old_pair_is_kept(
    world: RotatingWorld, params: dict[str, Any]
) -> None:
    """However often the next runs come, and whatever they are asked for: the good pair is not lost."""
    old = world.gateways.serving
    world.gateways.refuse_new = True
    refusing(world, "apply", "api", WEBHOOK, after=1)
    kept = (
        "the previous certificate cannot be put back, Secret istio-system/api-prev keeps it for the next run"
    )
    with pytest.raises(MeshError, match=f"pod gw-1 does not hold it; {kept}: .*not today"):
        world.rotate(force=["api"])
    for _run in range(2):
        with pytest.raises(MeshError, match=f"{kept}: .*not today"):
            world.rotate(**params)
        assert world.kept is not None
        assert held_by(world.kept) == old == world.gateways.fingerprint()
    allowing(world)
    assert world.rotate()["outcome"] == "fresh"
    assert (held_by(world.secret()), world.kept) == (old, None)


@pytest.mark.parametrize("lost", [True, False])
def test_a_pair_that_was_lost_in_mid_rotation_and_may_not_be_put_back(
    world: RotatingWorld, lost: bool
) -> None:
    """Its Secret is gone, or somebody wrote garbage into it."""
    old = copy.deepcopy(world.secret())
    interrupted(world)
    world.secret()["data"]["tls.crt"] = base64.b64encode(b"garbage").decode()
    if lost:
        world.cluster.remove("Secret", "api", HOME)
    refusing(world, "apply", "api", WEBHOOK)
    for params in ({}, {"force": ["api"]}):
        with pytest.raises(
            MeshError, match=r"cannot be put back, .*-prev keeps it for the next run: .*not today"
        ):
            world.rotate(**params)
        assert world.kept is not None
    allowing(world)
    assert world.rotate()["status"] == "pass"
    assert held_by(world.secret()) == held_by(old)
    assert world.kept is None


GARBAGE = base64.b64encode(b"garbage").decode()


@pytest.mark.parametrize(
    "damage",
    [{"tls.key": ""}, {"tls.key": GARBAGE}, {"tls.crt": GARBAGE}, {"tls.crt": "", "tls.key": GARBAGE}, None],
)
def test_a_pair_that_somebody_damages_in_mid_rotation_comes_back(
    world: RotatingWorld, damage: dict[str, str] | None
) -> None:
    """Only the kept pair has the key yet that a company's CA signed."""
    company = Company(world.now)
    request = world.rotate(requested=[{"name": "api"}], force=["api"])["certificates"][0]["request"]
    company.now = world.now
    entry = {"name": "api", "certificate": company.answer(request), "ca": company.ca}
    world.rotate(requested=[entry])
    good = copy.deepcopy(world.secret()["data"])
    interrupted(world)
    world.secret()["data"] |= damage or {}
    if damage is None:
        world.cluster.remove("Secret", "api", HOME)
    result = world.rotate(requested=[entry])
    assert (result["status"], world.secret()["data"]) == ("pass", good)
    assert world.kept is None
    assert world.rotate(requested=[entry])["outcome"] == "fresh"


def test_a_foreign_key_goes_with_the_write_of_the_pair_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """istiod takes `cert` before `tls.crt`: between two writes it would serve what nobody has judged."""
    for call in range(1, 60):
        world = RotatingWorld(monkeypatch)
        a_key_too_many(world)
        before = copy.deepcopy(world.secret()["data"])
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, True
        try:
            world.rotate(force=["api"])
        except KilledError:
            data = world.secret()["data"]
            assert data == before or (
                set(data) == {"tls.crt", "tls.key"} and data["tls.crt"] != before["tls.crt"]
            )
        else:
            assert call > 20
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"holderIdentity": None, "leaseTransitions": None},
        {"holderIdentity": "gone", "renewTime": None},
        {"holderIdentity": "gone", "renewTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 30},
        {"holderIdentity": "gone", "leaseTransitions": 7, "leaseDurationSeconds": 5},
    ],
)
def test_an_orphaned_lease_is_taken_over(world: RotatingWorld, spec: dict[str, Any] | None) -> None:
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    world.cluster.put({**lease, "spec": spec})
    assert world.rotate(force=["api"])["outcome"] == "renewed"


# Dates of a chain.
def chain_ending(world: RotatingWorld, days: int) -> tuple[list[dict[str, Any]], datetime.datetime]:
    """A pair of 60 days whose intermediate ends before it."""
    root_key, middle_key, key = made.ec_key(), made.ec_key(), made.ec_key()
    begin, end = world.now - made.DAY, world.now + days * made.DAY
    middle = made.certificate("middle", middle_key, issuer=("top", root_key), ca=True, begin=begin, end=end)
    leaf = made.certificate(
        "x",
        key,
        issuer=("middle", middle_key),
        hosts=(HOST,),
        begin=begin,
        end=world.now + 60 * made.DAY,
    )
    pair = {"certificate": made.pem(leaf, middle).decode(), "private_key": made.key_pem(key).decode()}
    return [{"name": "api", **pair}], middle.not_valid_after_utc


@pytest.mark.parametrize(("days", "outcome"), [(5, "due"), (50, "fresh")])
def test_a_chain_that_ends_before_its_leaf_is_due(world: RotatingWorld, days: int, outcome: str) -> None:
    provided, end = chain_ending(world, days)
    world.rotate(provided=provided)
    world.warnings.clear()
    assert world.rotate(provided=provided)["outcome"] == outcome
    told = [
        f"Secret istio-system/api: a CA of its chain ends on {end:%Y-%m-%d}, before the certificate: "
        "clients refuse it from then on"
    ]
    assert world.warnings == (told if outcome == "due" else [])


def test_a_leaf_of_ours_outlives_nothing_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intermediate as own CA whose root ends first."""
    world = RotatingWorld(monkeypatch)
    keys = [made.ec_key(), made.ec_key()]
    begin, end = world.now - made.DAY, world.now + 10 * made.DAY
    root = made.certificate("top", keys[0], ca=True, begin=begin, end=end)
    middle = made.certificate(
        "middle", keys[1], issuer=("top", keys[0]), ca=True, begin=begin, end=end + 900 * made.DAY
    )
    data = {"tls.crt": made.pem(middle, root), "tls.key": made.key_pem(keys[1])}
    labels = {"app.kubernetes.io/managed-by": "servicemesh.istio"}
    world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "servicemesh-ca", "namespace": "servicemesh-system", "labels": labels},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
    )
    assert world.rotate()["status"] == "pass"
    (leaf, _middle) = read_chain(base64.b64decode(world.secret()["data"]["tls.crt"]))
    assert leaf.not_valid_after_utc == root.not_valid_after_utc
    assert any(f"the CA ends on {root.not_valid_after_utc:%Y-%m-%d}" in text for text in world.warnings)


def test_an_immutable_secret_and_one_of_another_type_are_left_alone(world: RotatingWorld) -> None:
    for changes, text in (
        ({"immutable": True}, "it is immutable: delete it first"),
        (
            {"type": "Opaque"},
            "its type is Opaque, which cannot be changed to kubernetes.io/tls: delete it first",
        ),
    ):
        before = copy.deepcopy(world.secret())
        world.cluster.put({**before, **changes})
        for check in (True, False):
            with pytest.raises(RefusedError, match=text):
                world.run(check=check, force=["api"])
        world.cluster.put(before)
    assert world.cluster.writes == []


# What somebody makes of a write on its way.
def mutating(world: RotatingWorld, change: Callable[[dict[str, Any]], Any], name: str = "api") -> None:
    """A mutating admission webhook for the Secret of the credential; dry-runs go through it as well."""
    inner = world.cluster.apply

    def apply(obj: dict[str, Any], **more: Any) -> Any:
        if obj["metadata"]["name"] == name:
            obj = copy.deepcopy(obj)
            change(obj["data"])
        return inner(obj, **more)

    world.cluster.apply = apply


def honest(world: RotatingWorld) -> None:
    del world.cluster.apply  # the method of its class again


@pytest.mark.parametrize("key", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("prove", [True, False])
def test_a_webhook_that_changes_the_pair_is_named_and_nothing_of_it_stays(
    world: RotatingWorld, key: str, prove: bool
) -> None:
    old, served = copy.deepcopy(world.secret()["data"]), world.gateways.serving
    other = base64.b64encode(b"something else").decode()
    mutating(world, lambda data: data.update({key: other if data != old else data[key]}))
    said = f"an admission webhook changes {key} of what is written"
    with pytest.raises(RefusedError, match=f"^Secret istio-system/api: {said}$"):
        world.run(check=True, force=["api"])
    assert world.cluster.writes == []
    with pytest.raises(MeshError, match=said) as caught:
        world.rotate(force=["api"], prove=prove)
    assert caught.value.details["outcome"] == "failed"
    assert world.secret()["data"] == old, "the way back is what it was"
    assert world.kept is None
    assert world.gateways.fingerprint() == served


def test_a_webhook_that_changes_every_pair_leaves_the_old_one_kept(world: RotatingWorld) -> None:
    old = copy.deepcopy(world.secret()["data"])
    mutating(world, lambda data: data.update({"tls.key": base64.b64encode(b"something else").decode()}))
    with pytest.raises(
        MeshError, match=r"cannot be put back, .*api-prev keeps it for the next run: an admission webhook"
    ):
        world.rotate(force=["api"])
    assert world.kept is not None
    assert {key: world.kept["data"][key] for key in old} == old
    honest(world)
    assert world.rotate()["status"] == "pass"
    assert world.secret()["data"] == old
    assert world.kept is None


@pytest.mark.parametrize("key", ["tls.crt", "tls.key"])
def test_a_webhook_that_changes_the_kept_pair_stops_before_anything(world: RotatingWorld, key: str) -> None:
    """There would be no way back."""
    old, served = copy.deepcopy(world.secret()["data"]), world.gateways.serving
    mutating(world, lambda data: data.update({key: "eA=="}), "api-prev")
    said = "^Secret istio-system/api-prev: an admission webhook changes the pair that is kept$"
    with pytest.raises(RefusedError, match=said):
        world.rotate(force=["api"])
    assert (world.secret()["data"], world.gateways.fingerprint(), world.kept) == (old, served, None)


def test_a_webhook_that_adds_a_key_is_told(world: RotatingWorld) -> None:
    mutating(world, lambda data: data.update({"ca.crt": "eA=="}))
    for check in (True, False):
        world.warnings.clear()
        assert world.run(check=check, force=["api"], timeout=20, overlap=0)["outcome"] == "renewed"
        assert world.warnings == [
            "Secret istio-system/api: an admission webhook adds or changes ca.crt, "
            "and the next run takes it away again"
        ]


def test_a_key_that_a_run_takes_away_is_no_webhook_s(world: RotatingWorld) -> None:
    a_key_too_many(world)
    for check in (True, False):
        assert world.run(check=check, timeout=20, overlap=0)["outcome"] == "renewed"
        assert [text for text in world.warnings if "webhook" in text] == []


def test_a_kept_pair_that_a_finalizer_holds_is_told(world: RotatingWorld) -> None:
    """It is deleted, and its key lies there on; the run goes its way, and so does the next one."""
    inner = world.cluster.apply

    def apply(obj: dict[str, Any], **more: Any) -> Any:
        written = inner(obj, **more)
        if obj["metadata"]["name"] == "api-prev" and world.kept is not None:
            world.kept["metadata"]["finalizers"] = ["backup.example.com/kept"]
        return written

    world.cluster.apply = apply
    told = ["Secret istio-system/api-prev keeps the previous key until backup.example.com/kept lets it go"]
    for params, outcome in (({"force": ["api"]}, "renewed"), ({}, "fresh")):
        world.warnings.clear()
        assert world.rotate(**params)["outcome"] == outcome
        assert world.warnings == told
    world.cluster.remove("Secret", "api-prev", HOME)
    world.cluster.apply = inner
    world.warnings.clear()
    assert world.rotate(force=["api"])["outcome"] == "renewed"
    assert (world.warnings, world.kept) == ([], None)
