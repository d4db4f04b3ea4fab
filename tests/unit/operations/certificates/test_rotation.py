# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation, killed and refused at every step: a good pair is always served, and the next run ends it."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    check_pair,
    facts_of,
    read_chain,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import backend, proof

from ...support import certificates as made
from ...support.mortal import KilledError, Mortal
from .test_edges import HOME, World

HOST = "api.example.com"
LEASE = "servicemesh-certificates"


class Gateways:
    """What the pods serve: the Secret's pair, but a pair that they refuse leaves them on the one before."""

    def __init__(self, cluster: Mortal) -> None:
        self.cluster = cluster
        self.refused: set[str] = set()
        self.refuse_new = False
        self.known: set[str] = set()
        self.serving = ""
        self.history: list[str] = []

    def sync(self) -> None:
        """The proxies follow the Secret, as istiod pushes it."""
        secret = self.cluster.find("Secret", "api", HOME)
        if secret is None:
            return
        held = held_by(secret)
        if self.refuse_new and held not in self.known:
            return
        if held not in self.refused and held != self.serving:
            self.serving = held
            self.history.append(held)

    def fingerprint(self, *_endpoint: Any) -> str:
        self.sync()
        return self.serving


def held_by(secret: dict[str, Any]) -> str:
    return facts_of(read_chain(base64.b64decode(secret["data"]["tls.crt"]))[0]).fingerprint


class RotatingWorld(World):
    """A world whose gateway pods serve what the Secret holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(HOME)
        old = self.cluster
        self.cluster = Mortal(*old.objects.values())
        self.cluster.clock = self.now
        self.gateways = Gateways(self.cluster)
        self.cluster.put(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "public", "namespace": HOME},
                "spec": {
                    "selector": {"istio": "gw"},
                    "servers": [
                        {
                            "hosts": [HOST],
                            "port": {"number": 443},
                            "tls": {"mode": "SIMPLE", "credentialName": "api"},
                        }
                    ],
                },
            }
        )
        self.cluster.put(
            {
                "kind": "Pod",
                "metadata": {"name": "gw-1", "namespace": HOME, "labels": {"istio": "gw"}},
                "status": {"phase": "Running", "podIP": "10.0.0.1"},
            }
        )
        monkeypatch.setattr(proof, "served_fingerprint", self.gateways.fingerprint)
        self.cluster.on_ask = lambda *_rest: '{"configs": []}'

    def rotate(self, **params: Any) -> dict[str, Any]:
        """A run after which nothing else happens for longer than a Lease lasts."""
        try:
            return self.run(**{"timeout": 20, **params})
        finally:
            self.clock.time += 60
            self.cluster.clock = self.now

    def served_is_good(self) -> bool:
        """Whether the pods serve a pair that clients accept; only a Secret's pair can be looked into."""
        for name in ("api", "api-prev"):
            secret = self.cluster.find("Secret", name, HOME)
            if secret is not None and held_by(secret) == self.gateways.serving:
                data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
                faults = check_pair(data["tls.crt"], data["tls.key"], hosts=[HOST], roots=(), now=self.now)
                return not faults
        return False

    @property
    def kept(self) -> dict[str, Any] | None:
        return self.cluster.find("Secret", "api-prev", HOME)


def rotated_once(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    """A world whose gateways serve a first pair."""
    made_world = RotatingWorld(monkeypatch)
    assert made_world.rotate()["outcome"] == "renewed"
    made_world.gateways.known = {made_world.gateways.serving}
    made_world.cluster.writes.clear()
    return made_world


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return rotated_once(monkeypatch)


def test_a_rotation_keeps_the_old_pair_until_the_new_one_is_proved(world: RotatingWorld) -> None:
    old = world.gateways.serving
    result = world.rotate(force=["api"])
    assert (result["status"], result["outcome"]) == ("pass", "renewed")
    assert [what for what in world.cluster.writes if "Lease" not in what[1]] == [
        ("apply", f"Secret {HOME}/api-prev"),
        ("apply", f"Secret {HOME}/api"),
        ("delete", f"Secret {HOME}/api-prev"),
    ]
    assert world.gateways.serving != old
    assert result["certificates"][0]["reasons"] == ["a new one is asked for"]
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""
    again = world.rotate()
    assert (again["changed"], again["outcome"]) == (False, "fresh")


def test_a_run_without_work_writes_nothing_but_its_record_where_asked(world: RotatingWorld) -> None:
    world.rotate()
    assert world.cluster.writes == []
    assert world.rotate(record=True)["changed"] is False
    assert {what for _verb, what in world.cluster.writes} == {f"Lease {HOME}/{LEASE}"}
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    assert lease["metadata"]["annotations"]["servicemesh.istio/last-success"].startswith("20")


def test_a_pair_that_is_not_taken_goes_and_the_old_one_is_back(world: RotatingWorld) -> None:
    old = world.gateways.serving
    world.gateways.refuse_new = True
    with pytest.raises(MeshError, match="the previous certificate is back and served") as caught:
        world.rotate(force=["api"])
    (certificate,) = caught.value.details["certificates"]
    assert (certificate["action"], certificate["fingerprint_sha256"]) == ("restored", old)
    assert caught.value.details["outcome"] == "failed"
    assert world.gateways.history == [old]
    assert world.kept is None
    secret = world.secret()
    assert held_by(secret) == old
    lease = world.cluster.find("Lease", LEASE, HOME)
    assert lease is not None
    world.gateways.refuse_new = False
    assert world.rotate()["outcome"] == "fresh"


def test_an_old_pair_that_clients_refuse_does_not_come_back(world: RotatingWorld) -> None:
    world.clock.time += 30 * 24 * 3600.0
    world.cluster.clock = world.now
    world.gateways.refuse_new = True
    with pytest.raises(
        MeshError, match="the previous certificate cannot come back: the certificate is valid"
    ):
        world.rotate()
    assert held_by(world.secret()) not in world.gateways.known
    assert world.kept is None


def calls_of_a_rotation(monkeypatch: pytest.MonkeyPatch) -> int:
    world = RotatingWorld(monkeypatch)
    world.rotate()
    world.cluster.count = 0
    world.rotate(force=["api"])
    return world.cluster.count


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("refuses", [False, True])
def test_killed_at_every_call_the_next_run_ends_it(
    monkeypatch: pytest.MonkeyPatch, after: bool, refuses: bool
) -> None:
    calls = calls_of_a_rotation(monkeypatch)
    assert calls > 20
    for call in range(1, calls + 1):
        world = RotatingWorld(monkeypatch)
        world.rotate()
        world.gateways.known = {world.gateways.serving}
        world.gateways.refuse_new = refuses
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with pytest.raises((KilledError, MeshError)):
            world.rotate(force=["api"])
            raise KilledError  # a last call that was a write was carried out: the run is over
        world.gateways.sync()
        assert world.served_is_good(), call
        cluster.dead, cluster.kill_at = False, 0
        # What was served so far stays known; a refused pair stays refused.
        result = world.rotate()
        assert result["status"] == "pass", call
        assert world.kept is None, call
        assert world.served_is_good(), call
        assert held_by(world.secret()) == world.gateways.serving, call
        cluster.writes.clear()
        assert world.rotate()["changed"] is False, call
        assert cluster.writes == [], call


@pytest.mark.parametrize("how", [503, "lost request", "lost answer"])
@pytest.mark.parametrize(("verb", "kind"), [("apply", "Secret"), ("delete", "Secret"), ("replace", "Lease")])
def test_a_failing_server_leaves_what_the_next_run_ends(
    world: RotatingWorld, verb: str, kind: str, how: int | str
) -> None:
    world.cluster.fail(verb, kind, how)
    with contextlib.suppress(ApiError, FencedError):
        world.rotate(force=["api"])
    world.gateways.sync()
    assert world.served_is_good()
    assert world.rotate()["status"] == "pass"
    assert world.kept is None


def test_two_at_once_one_acts_and_one_is_told(world: RotatingWorld) -> None:
    told: list[str] = []
    inner = RotatingWorld.run

    def second(*_rest: Any) -> str:
        """While the first one looks at the gateways, another one begins."""
        if not told:
            told.append("")
            with pytest.raises(RefusedError, match="the rotation of certificates in namespace") as caught:
                inner(world, force=["api"], timeout=20)
            told[0] = str(caught.value.rule)
        return world.gateways.fingerprint()

    # The first one lives: its Lease moves while the second one watches.
    sleep = world.clock.sleep

    def renewing(seconds: float) -> None:
        sleep(seconds)
        lease = world.cluster.find("Lease", LEASE, HOME)
        if lease is not None:
            lease["spec"]["renewTime"] = world.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", second)
        patch.setattr(world.clock, "sleep", renewing)
        result = world.rotate(force=["api"])
    assert (result["status"], told) == ("pass", ["held"])


@pytest.mark.parametrize("lives", [True, False])
def test_a_second_run_at_every_call_of_the_first_one(monkeypatch: pytest.MonkeyPatch, lives: bool) -> None:
    """Whenever it begins: one acts, the other one is told, and what is served is good."""
    calls = calls_of_a_rotation(monkeypatch)
    ends: list[tuple[str, str]] = []
    for call in range(1, calls + 1):
        world = RotatingWorld(monkeypatch)
        world.rotate()
        cluster, inner, sleep = world.cluster, world.cluster._call, world.clock.sleep
        count, told = 0, []

        def renewing(seconds: float, world: RotatingWorld = world, sleep: Any = sleep) -> None:
            """The first one lives: its Lease moves while the second one watches."""
            sleep(seconds)
            world.cluster.clock = world.now
            lease = world.cluster.find("Lease", LEASE, HOME)
            if lives and lease is not None and lease["spec"]["holderIdentity"]:
                lease["spec"]["renewTime"] = world.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        def counted(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:  # noqa: B023 - called within the loop only
                told.append(outcome_of(world, renewing))  # noqa: B023 - as above
            return inner(*arguments, **more)  # noqa: B023 - as above

        cluster._call = counted
        first = outcome_of(world, None)
        cluster._call = inner
        ends.append((first, told[0]))
        assert "pass" in (first, told[0]), (call, first, told)
        assert set(ends[-1]) <= {"pass", "held", "fenced", "race"}, (call, ends[-1])
        world.clock.time += 60
        cluster.clock = world.now
        world.gateways.sync()
        assert world.served_is_good(), call
        assert world.rotate()["status"] == "pass", call
        assert world.kept is None, call
        assert world.rotate()["changed"] is False, call
    assert len(ends) > 20
    assert ("pass", "held") in ends or not lives
    assert any(first == "fenced" for first, _second in ends) or lives


def outcome_of(world: RotatingWorld, sleep: Any) -> str:
    """How a forced run ends, in one word."""
    with pytest.MonkeyPatch.context() as patch:
        if sleep is not None:
            patch.setattr(world.clock, "sleep", sleep)
        try:
            return str(world.run(force=["api"], timeout=20)["status"])
        except FencedError:
            return "fenced"
        except RefusedError as error:
            return str(error.rule)
        except ApiError as error:
            return "race" if error.status == 409 else f"status {error.status}"


def provided(world: RotatingWorld) -> list[dict[str, str]]:
    """A pair of one's own that is good in the world's time."""
    key = made.ec_key()
    dates = {"begin": world.now - made.DAY, "end": world.now + 60 * made.DAY}
    leaf = made.certificate("leaf", key, issuer=("root", made.ROOT_KEY), hosts=(HOST,), **dates)
    pair = {"certificate": made.pem(leaf).decode(), "private_key": made.key_pem(key).decode()}
    return [{"name": "api", **pair}]


@pytest.mark.parametrize("after", [False, True])
def test_a_pair_of_one_s_own_killed_at_every_call(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    call, reached = 0, True
    while reached:
        call += 1
        world = RotatingWorld(monkeypatch)
        world.rotate(provided=provided(world))
        given = provided(world)
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with contextlib.suppress(KilledError):
            world.rotate(provided=given)
        reached = cluster.dead
        cluster.dead, cluster.kill_at = False, 0
        world.gateways.sync()
        assert world.served_is_good(), call
        assert world.rotate(provided=given)["status"] == "pass", call
        assert (world.kept, world.served_is_good()) == (None, True), call
        cluster.writes.clear()
        assert (world.rotate(provided=given)["changed"], cluster.writes) == (False, []), call
    assert call > 15


def test_the_kept_pair_deleted_in_mid_run_is_no_reason_to_stop(world: RotatingWorld) -> None:
    """Somebody tidies up while the new pair is proved: nothing is lost, taken or not."""
    old = world.gateways.serving

    def tidied(*_endpoint: Any) -> str:
        if world.kept is not None:
            world.cluster.remove("Secret", "api-prev", HOME)
        return world.gateways.fingerprint()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", tidied)
        assert world.rotate(force=["api"])["status"] == "pass"
        world.gateways.known, world.gateways.refuse_new = {world.gateways.serving}, True
        served = world.gateways.serving
        assert served != old
        with pytest.raises(MeshError, match="the previous certificate is back and served"):
            world.rotate(force=["api"])
    assert held_by(world.secret()) == world.gateways.serving == served


def test_an_api_server_that_restarts_at_every_call_leaves_a_good_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For one call it is gone, as long as the client tries; the next run ends what this one began."""
    calls = calls_of_a_rotation(monkeypatch)
    for call in range(1, calls + 1):
        world = RotatingWorld(monkeypatch)
        world.rotate()
        inner, count = world.cluster._call, 0

        def failing(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:  # noqa: B023 - called within the loop only
                raise ApiError("connection refused", reason="Unreachable")
            return inner(*arguments, **more)  # noqa: B023 - as above

        world.cluster._call = failing
        with contextlib.suppress(MeshError):
            world.rotate(force=["api"])
        world.cluster._call = inner
        world.gateways.sync()
        assert world.served_is_good(), call
        assert world.rotate()["status"] == "pass", call
        assert (world.kept, world.rotate()["changed"]) == (None, False), call


def test_a_clock_a_day_off_and_a_lost_ca_leave_the_old_pair_served(world: RotatingWorld) -> None:
    old = world.gateways.serving
    for seconds in (24 * 3600.0, -24 * 3600.0):
        world.clock.time += seconds
        with pytest.raises(RefusedError, match="certificates would be dated wrongly"):
            world.run(force=["api"], timeout=20)
        world.clock.time -= seconds
    world.cluster.remove("Secret", "servicemesh-ca", "servicemesh-system")
    with pytest.raises(RefusedError, match="the CA is gone while its certificates are in use"):
        world.rotate(force=["api"])
    assert (world.cluster.writes, world.gateways.fingerprint()) == ([], old)


def test_the_lease_lives_as_long_as_the_proof_takes(world: RotatingWorld) -> None:
    """The gateways take the new pair after a minute and a half: nobody may take the Lease over meanwhile."""
    begin, old = world.clock.time, world.gateways.serving
    ages: list[float] = []

    def slow(*_endpoint: Any) -> str:
        lease = world.cluster.find("Lease", LEASE, HOME)
        assert lease is not None
        ages.append(world.clock.time - (seconds_of(lease["spec"]["renewTime"]) or 0.0))
        return old if world.clock.time - begin < 90 else world.gateways.fingerprint()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", slow)
        assert world.rotate(force=["api"], timeout=120)["status"] == "pass"
    assert world.clock.time - begin > 90
    assert max(ages) < backend.LEASE_SECONDS / 2


@pytest.mark.parametrize("noticed", [True, False])
def test_who_slept_too_long_takes_the_kept_pair_of_nobody_else(world: RotatingWorld, noticed: bool) -> None:
    """Asleep before it looks at its Lease, or just after: another run has begun, and keeps its own pair."""
    old = world.gateways.serving
    cluster, inner = world.cluster, world.cluster.delete
    looks: list[str] = []

    def another_begins() -> None:
        cluster.remove("Secret", "api-prev", HOME)
        kept = cluster.find("Secret", "api", HOME)
        assert kept is not None
        metadata = {"name": "api-prev", "namespace": HOME, "uid": "of-another"}
        cluster.put({**kept, "metadata": metadata})
        lease = cluster.find("Lease", LEASE, HOME)
        assert lease is not None
        lease["spec"] |= {"holderIdentity": "another", "leaseTransitions": 9}
        lease["metadata"]["resourceVersion"] = "another"

    def look(*_endpoint: Any) -> str:
        seen = world.gateways.fingerprint()
        looks.append(seen)
        if noticed and looks.count(seen) == 3 and seen != old:
            another_begins()
            world.clock.time += 60
        return seen

    def delete(api_version: str, kind: str, name: str, *rest: Any, **more: Any) -> bool:
        if name == "api-prev":
            another_begins()
        return inner(api_version, kind, name, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "served_fingerprint", look)
        if not noticed:
            patch.setattr(cluster, "delete", delete)
        with contextlib.suppress(FencedError) if not noticed else pytest.raises(FencedError):
            world.rotate(force=["api"])
    assert world.kept is not None
    assert world.kept["metadata"]["uid"] == "of-another"


def test_a_leaked_key_is_replaced_without_a_way_back(world: RotatingWorld) -> None:
    old = world.gateways.serving
    result = world.rotate(revoke=["istio-system/api"])
    assert result["status"] == "pass"
    assert "no Secret of istio-system holds the old one" in result["certificates"][0]["proof"]["evidence"]
    assert ("apply", f"Secret {HOME}/api-prev") not in world.cluster.writes
    assert world.gateways.serving != old


def test_a_leaked_pair_that_lies_on_elsewhere_is_a_fail(world: RotatingWorld) -> None:
    copy = world.secret()
    world.cluster.put({**copy, "metadata": {"name": "backup", "namespace": HOME}})
    with pytest.raises(MeshError, match="still held by Secret istio-system/backup: delete it"):
        world.rotate(revoke=["api"])


def test_a_leaked_pair_of_a_killed_rotation_does_not_come_back(world: RotatingWorld) -> None:
    leaked = world.gateways.serving
    world.cluster.put(
        {
            **world.secret(),
            "metadata": {
                "name": "api-prev",
                "namespace": HOME,
                "labels": {
                    "app.kubernetes.io/managed-by": "servicemesh.istio",
                    "app.kubernetes.io/part-of": "shop",
                },
                "annotations": {"servicemesh.istio/previous-of": "api"},
            },
        }
    )
    world.cluster.remove("Secret", "api", HOME)
    world.rotate(revoke=["api"])
    assert world.kept is None
    assert held_by(world.secret()) != leaked
    assert world.cluster.writes.count(("apply", f"Secret {HOME}/api")) == 1, "not even for a moment"


def test_a_secret_lost_in_mid_rotation_comes_back(world: RotatingWorld) -> None:
    old = world.gateways.serving
    cluster = world.cluster
    cluster.count, cluster.kill_at, cluster.after = 0, 10**6, True
    secret = world.secret()
    cluster.put(
        {
            **secret,
            "metadata": {
                **secret["metadata"],
                "name": "api-prev",
                "annotations": {"servicemesh.istio/previous-of": "api"},
            },
        }
    )
    cluster.remove("Secret", "api", HOME)
    result = world.rotate()
    assert result["status"] == "pass"
    assert held_by(world.secret()) == old
    assert world.kept is None


def test_a_lost_pair_whose_previous_one_has_ended_is_made_anew(world: RotatingWorld) -> None:
    old = world.gateways.serving
    secret = world.secret()
    named = {"name": "api-prev", "annotations": {"servicemesh.istio/previous-of": "api"}}
    world.cluster.put({**secret, "metadata": {**secret["metadata"], **named}})
    world.cluster.remove("Secret", "api", HOME)
    world.clock.time += 200 * 24 * 3600
    world.cluster.clock = world.now
    world.cluster.writes.clear()
    assert world.rotate()["status"] == "pass"
    assert held_by(world.secret()) != old
    assert world.cluster.writes.count(("apply", f"Secret {HOME}/api")) == 1, "what has ended is not put back"


@pytest.mark.parametrize("metadata", [{}, {"annotations": {"servicemesh.istio/previous-of": "other"}}])
def test_somebody_else_s_secret_of_that_name_is_not_touched(
    world: RotatingWorld, metadata: dict[str, Any]
) -> None:
    world.cluster.put({"kind": "Secret", "metadata": {"name": "api-prev", "namespace": HOME, **metadata}})
    with pytest.raises(RefusedError, match=r"Secret istio-system/api-prev is needed .* rename one of them"):
        world.rotate(force=["api"])
    assert world.cluster.writes == []


def two_servers(name: str) -> list[dict[str, Any]]:
    servers = [{"host": HOST, "certificate": "api"}, {"host": "b.example.com", "certificate": name}]
    return [{"workload_namespace": HOME, "service_account": "gateway", "servers": servers}]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"force": ["other"]},
            "certificates_force[0]: no gateway names the credential other (unknown-credential)",
        ),
        (
            {"revoke": ["a/api"]},
            "certificates_revoke[0]: no gateway names the credential a/api (unknown-credential)",
        ),
        (
            {"force": ["api"], "existing": ["api"]},
            "certificates_force[0]: api is written by somebody else (certificates_existing): renew it there"
            " (one-source)",
        ),
        (
            {"gateways": two_servers("api-prev")},
            "mesh_gateways: the credential api-prev has the name under which the previous pair of api is kept"
            ": rename it (name-taken)",
        ),
    ],
)
def test_what_cannot_be_forced_is_refused(world: RotatingWorld, params: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        world.run(**params)
    assert str(caught.value) == text


def test_an_existing_pair_that_is_due_is_told(world: RotatingWorld) -> None:
    data = {"tls.crt": made.pem(made.LEAF), "tls.key": made.key_pem(made.LEAF_KEY)}
    secret = world.secret()
    secret["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
    world.clock.time = (made.NOW + 50 * made.DAY).timestamp()
    world.cluster.clock = world.now
    result = world.rotate(existing=["api"])
    assert (result["status"], result["outcome"], result["changed"]) == ("pass", "due", False)


def test_nobody_waits_for_the_overlap_of_a_first_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    first = RotatingWorld(monkeypatch)
    began = first.clock.time
    assert first.run(timeout=20, overlap=300)["outcome"] == "renewed"
    assert first.clock.time - began < 60


def test_a_rotation_reads_twice_what_it_works_on_and_no_more(world: RotatingWorld) -> None:
    """Before its Lease and after it; once more only where it put a pair back."""
    read: list[str] = []
    inner = world.cluster.get

    def get(api_version: str, kind: str, name: str, *rest: Any, **more: Any) -> Any:
        read.append(f"{kind} {name}")
        return inner(api_version, kind, name, *rest, **more)

    world.cluster.get = get
    world.rotate(force=["api"])
    assert read.count("Secret api") == 2


def test_the_overlap_is_waited_for(world: RotatingWorld) -> None:
    before = world.clock.time
    world.rotate(force=["api"], overlap=300)
    assert world.clock.time - before >= 360
    assert world.kept is None


def test_the_name_of_the_lease_is_what_a_scheduler_looks_at() -> None:
    assert (backend.LEASE, backend.LAST_SUCCESS) == (LEASE, "servicemesh.istio/last-success")
