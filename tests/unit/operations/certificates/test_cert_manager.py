# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cert-manager is told to renew by the documented way, waited for and proved; its Secrets are never written.

The stand-in controller does what cert-manager's documentation and its issuing controller say: it issues while
the condition Issuing is True, writes the Secret, counts ``status.revision`` up and takes the condition away;
when the CA refuses it sets the condition to False.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import (
    CA,
    CERT_MANAGER,
    GATEWAYS,
)

from ...support import certificates as made
from ...support.access import Restricted, access_of
from ...support.mortal import KilledError
from .test_edges import HOME
from .test_rotation import HOST, RotatingWorld, held_by

DAY = datetime.timedelta(days=1)
WHERE = f"Certificate {HOME}/web"


class Controller:
    """cert-manager, as far as one Certificate is concerned. It works whenever the run sleeps."""

    def __init__(self, world: RotatingWorld) -> None:
        self.world, self.cluster = world, world.cluster
        self.mode = "issues"
        self.key = made.ec_key()
        self.cluster.put(
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": {"name": "web", "namespace": HOME, "generation": 3},
                "spec": {"secretName": "api", "dnsNames": [HOST], "privateKey": {"rotationPolicy": "Always"}},
                "status": {},
            }
        )
        sleep = world.clock.sleep

        def working(seconds: float) -> None:
            sleep(seconds)
            self.work()

        world.clock.sleep = working

    @property
    def certificate(self) -> dict[str, Any]:
        found = self.cluster.find("Certificate", "web", HOME)
        assert found is not None
        return found

    @property
    def conditions(self) -> dict[str, dict[str, Any]]:
        return {one["type"]: one for one in self.certificate["status"].get("conditions", [])}

    def work(self) -> None:
        if self.conditions.get("Issuing", {}).get("status") != "True" or self.mode == "dead":
            return
        if self.mode == "refused":
            failed = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "the CA said no"}
            self.set_status(conditions=[failed])
        else:
            self.issue()

    def issue(self, **more: Any) -> None:
        now = self.world.now
        if self.certificate["spec"]["privateKey"].get("rotationPolicy") == "Always":
            self.key = made.ec_key()
        dates = {"begin": now - DAY, "end": now + 90 * DAY, **more}
        leaf = made.certificate("x", self.key, issuer=("root", made.ROOT_KEY), hosts=(HOST,), **dates)
        data = {"tls.crt": made.pem(leaf), "tls.key": made.key_pem(self.key), "ca.crt": made.pem(made.ROOT)}
        self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {
                    "name": "api",
                    "namespace": HOME,
                    "annotations": {"cert-manager.io/certificate-name": "web"},
                    "labels": {"controller.cert-manager.io/fao": "true"},
                },
                "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
            }
        )
        self.world.gateways.sync()
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date"}
        revision = self.certificate["status"].get("revision", 0) + 1
        planned = (now + 60 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.set_status(conditions=[ready], revision=revision, renewalTime=planned)

    def set_status(self, **status: Any) -> None:
        held = self.certificate
        self.cluster.put({**held, "status": {**held["status"], **status}})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return RotatingWorld(monkeypatch)


@pytest.fixture
def controller(world: RotatingWorld) -> Controller:
    made_controller = Controller(world)
    made_controller.issue()
    world.cluster.writes.clear()
    return made_controller


def run(world: RotatingWorld, **params: Any) -> dict[str, Any]:
    return world.rotate(cert_manager=["api"], **params)


def secrets_written(world: RotatingWorld) -> list[str]:
    return [what for _verb, what in world.cluster.writes if what.startswith("Secret ")]


def test_a_certificate_that_is_good_is_left_alone(world: RotatingWorld, controller: Controller) -> None:
    result = run(world)
    assert (result["status"], result["outcome"], result["changed"]) == ("pass", "fresh", False)
    assert world.cluster.writes == []
    assert result["ca"] == {}


def test_a_forced_renewal_is_what_cmctl_renew_does(world: RotatingWorld, controller: Controller) -> None:
    old = world.gateways.serving
    patches: list[dict[str, Any]] = []
    world.cluster.on_patch = lambda _cluster, obj: patches.append(obj["status"])
    result = run(world, force=["api"])
    assert (result["status"], result["outcome"], result["changed"]) == ("pass", "renewed", True)
    assert result["objects"] == [{"id": WHERE, "action": "updated"}]
    assert world.gateways.serving not in ("", old)
    assert result["certificates"][0]["fingerprint_sha256"] == world.gateways.serving
    assert secrets_written(world) == []
    (status,) = patches
    conditions = {one["type"]: one for one in status["conditions"]}
    now = world.now - datetime.timedelta(seconds=60)
    assert conditions["Issuing"].pop("lastTransitionTime")[:13] == now.strftime("%Y-%m-%dT%H")
    assert conditions["Issuing"] == {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "observedGeneration": 3,
    }
    assert conditions["Ready"]["status"] == "True", "other conditions stay"


def test_it_needs_the_rights_of_the_table(world: RotatingWorld, controller: Controller) -> None:
    """docs/rbac with the option, and no right to write a Secret of its namespace is used."""
    places = {GATEWAYS: [HOME], CA: ["servicemesh-system"]}
    needed = {access_of(need) for need in access_needs(["certificates"], places, [CERT_MANAGER])}
    inner = world.cluster
    operator = Restricted(inner, needed)
    world.cluster = operator
    try:
        assert world.run(cert_manager=["api"], force=["api"], timeout=20)["status"] == "pass"
    finally:
        world.cluster = inner
    assert operator.refused == set()
    theirs = {(access.resource, access.verb) for access in operator.used if access.group == "cert-manager.io"}
    assert theirs == {("certificates", "get"), ("certificates", "list"), ("certificates/status", "patch")}
    assert {a.verb for a in operator.used if a.resource == "secrets"} == {"get"}


def test_one_that_is_at_work_is_waited_for_and_not_told_again(
    world: RotatingWorld, controller: Controller
) -> None:
    controller.set_status(conditions=[{"type": "Issuing", "status": "True", "reason": "Renewing"}])
    result = run(world, force=["api"])
    assert (result["status"], result["changed"]) == ("pass", True)
    assert controller.certificate["status"]["revision"] == 2
    assert ("patch", f"Certificate {HOME}/web") not in world.cluster.writes


def test_its_own_time_of_renewal_counts_and_not_ours(world: RotatingWorld, controller: Controller) -> None:
    assert run(world, renew_at=1.0)["changed"] is False, "cert-manager has time"
    controller.set_status(renewalTime=(world.now - 2 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ"))
    result = run(world)
    assert (result["status"], result["outcome"]) == ("pass", "renewed")
    assert "cert-manager wanted to renew it on" in result["certificates"][0]["reasons"][0]


def test_without_a_time_of_its_own_ours_counts(world: RotatingWorld, controller: Controller) -> None:
    del controller.certificate["status"]["renewalTime"]
    assert run(world, renew_at=1.0)["outcome"] == "renewed"


def test_an_expired_one_is_renewed(world: RotatingWorld, controller: Controller) -> None:
    controller.issue(begin=world.now - 90 * DAY, end=world.now - DAY)
    result = run(world)
    assert (result["status"], result["outcome"]) == ("pass", "renewed")


def test_one_that_it_has_not_issued_yet_is_waited_for(world: RotatingWorld) -> None:
    controller = Controller(world)
    controller.set_status(conditions=[{"type": "Issuing", "status": "True", "reason": "DoesNotExist"}])
    assert run(world)["status"] == "pass"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("refused", f"{WHERE} was not issued: Issuing is False: the CA said no"),
        ("dead", f"{WHERE} was not issued within 20 s: Issuing is True: Certificate re-issuance manually"),
    ],
)
def test_an_issuer_that_does_not_issue_leaves_the_old_pair_served(
    world: RotatingWorld, controller: Controller, mode: str, said: str
) -> None:
    controller.mode, old = mode, world.gateways.serving
    with pytest.raises(MeshError) as caught:
        run(world, force=["api"])
    assert said in caught.value.message
    assert caught.value.details["outcome"] == "failed"
    assert world.gateways.serving == old
    assert held_by(world.secret()) == old
    controller.mode = "issues"
    controller.set_status(conditions=[{"type": "Issuing", "status": "True"}])
    assert run(world)["status"] == "pass"


def test_a_pair_that_the_gateways_do_not_take_is_a_fail(world: RotatingWorld, controller: Controller) -> None:
    world.gateways.known = {world.gateways.serving}
    world.gateways.refuse_new = True
    with pytest.raises(MeshError):
        run(world, force=["api"])
    assert secrets_written(world) == [], "it could not be put back: cert-manager would write it again"


def test_a_bad_pair_of_its_is_a_fail(world: RotatingWorld, controller: Controller) -> None:
    real = controller.issue
    controller.issue = lambda: real(begin=world.now - 90 * DAY, end=world.now - DAY)
    with pytest.raises(
        MeshError, match="cert-manager wrote a pair that must not be served: the certificate is"
    ):
        run(world, force=["api"])


def test_a_leaked_key_is_really_replaced(world: RotatingWorld, controller: Controller) -> None:
    leaked = world.gateways.serving
    result = run(world, revoke=["api"])
    assert "no Secret of istio-system holds the old one" in result["certificates"][0]["proof"]["evidence"]
    assert world.gateways.serving != leaked


def test_a_leaked_key_that_it_would_keep_is_refused_or_found(
    world: RotatingWorld, controller: Controller
) -> None:
    controller.certificate["spec"]["privateKey"] = {"rotationPolicy": "Never"}
    with pytest.raises(RefusedError, match="keeps its key, which has leaked: set"):
        run(world, revoke=["api"])
    assert world.cluster.writes == []
    controller.certificate["spec"]["privateKey"] = {}  # the default depends on cert-manager's version
    with pytest.raises(MeshError, match="issued a new certificate for the leaked key"):
        run(world, revoke=["api"])


def test_what_it_does_not_ask_for_is_refused_before(world: RotatingWorld, controller: Controller) -> None:
    controller.certificate["spec"]["dnsNames"] = ["other.example.com", "*.com"]
    with pytest.raises(RefusedError, match=f"{WHERE} does not ask for {HOST}: add it to its spec.dnsNames"):
        run(world)
    assert world.cluster.writes == []


def test_nobody_or_two_write_the_secret(world: RotatingWorld, controller: Controller) -> None:
    second = {**controller.certificate, "metadata": {"name": "web-2", "namespace": HOME}}
    world.cluster.put(second)
    with pytest.raises(RefusedError, match="Certificates web, web-2 all write it: one has to go"):
        run(world)
    for name in ("web", "web-2"):
        world.cluster.remove("Certificate", name, HOME)
    with pytest.raises(RefusedError, match="no Certificate writes it"):
        run(world)
    world.cluster.missing.add("Certificate")
    with pytest.raises(RefusedError, match=r"the cluster serves no cert-manager\.io/v1"):
        run(world)


def test_a_certificate_of_another_secret_is_nobody_s_business(
    world: RotatingWorld, controller: Controller
) -> None:
    other = {**controller.certificate, "metadata": {"name": "aside", "namespace": HOME}}
    world.cluster.put({**other, "spec": {**other["spec"], "secretName": "another"}})
    assert run(world, force=["api"])["outcome"] == "renewed"
    assert (world.cluster.find("Certificate", "aside", HOME) or {})["status"] == other["status"]


def test_who_may_not_tell_cert_manager_learns_of_which_certificate(
    world: RotatingWorld, controller: Controller
) -> None:
    places = {GATEWAYS: [HOME], CA: ["servicemesh-system"]}
    needed = {access_of(need) for need in access_needs(["certificates"], places, [CERT_MANAGER])}
    world.cluster = Restricted(
        world.cluster, {one for one in needed if one.resource != "certificates/status"}
    )
    with pytest.raises(ApiError) as caught:
        run(world, force=["api"])
    assert "in istio-system: patch on certificates/status.cert-manager.io 'web'" in str(caught.value)


def test_changed_between_the_look_and_the_word(world: RotatingWorld, controller: Controller) -> None:
    inner = world.cluster.patch

    def patch(api_version: str, kind: str, *rest: Any, **more: Any) -> Any:
        if kind == "Certificate":
            controller.set_status(revision=7)
        return inner(api_version, kind, *rest, **more)

    world.cluster.patch = patch
    with pytest.raises(RefusedError, match="was changed at the same moment; run again"):
        run(world, force=["api"])
    assert "Issuing" not in controller.conditions


def test_changed_at_the_same_moment(world: RotatingWorld, controller: Controller) -> None:
    world.cluster.fail("patch", "Certificate", 409)
    with pytest.raises(RefusedError, match="was changed at the same moment; run again"):
        run(world, force=["api"])
    assert run(world, force=["api"])["status"] == "pass"


def test_check_mode_only_tries(world: RotatingWorld, controller: Controller) -> None:
    result = world.run(check=True, cert_manager=["api"], force=["api"])
    assert (world.cluster.writes, result["changed"], result["status"]) == ([], True, "cannot tell")
    assert ("patch", WHERE) in world.cluster.dry_runs
    condition = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered"}
    after = {"status": {"conditions": [condition]}}
    assert result["diff"] == [{"before_header": WHERE, "after_header": WHERE, "before": {}, "after": after}]
    assert run(world, force=["api"])["objects"] == result["objects"]


def test_a_previous_pair_of_ours_never_comes_back_over_its_secret(
    world: RotatingWorld, controller: Controller
) -> None:
    """The credential was ours when a rotation was killed, and has become cert-manager's since."""
    mine = {
        "metadata": {
            "name": "api-prev",
            "namespace": HOME,
            "labels": {"app.kubernetes.io/managed-by": "servicemesh.istio"},
            "annotations": {"servicemesh.istio/previous-of": "api"},
        }
    }
    for source in ({"cert_manager": ["api"]}, {"existing": ["api"]}):
        world.cluster.put({**world.secret(), **mine})
        world.gateways.refuse_new, world.gateways.known = True, set()
        before = world.secret()
        controller.issue()
        with contextlib.suppress(MeshError):
            world.rotate(**source)
        assert world.kept is None
        assert world.secret()["metadata"]["annotations"] == before["metadata"]["annotations"]
        assert f"Secret {HOME}/api" not in secrets_written(world)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_call_the_next_run_ends_it(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    call = 0
    reached = True
    while reached:
        call += 1
        world = RotatingWorld(monkeypatch)
        controller = Controller(world)
        controller.issue()
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with contextlib.suppress(KilledError):
            run(world, force=["api"])
        reached = cluster.dead
        cluster.dead, cluster.kill_at = False, 0
        assert world.served_is_good(), call
        assert run(world)["status"] == "pass", call
        assert run(world)["changed"] is False, call
        assert controller.certificate["status"]["revision"] <= 2, "told once"
    assert call > 10


def test_a_server_that_fails_meanwhile(world: RotatingWorld, controller: Controller) -> None:
    world.cluster.fail("get", "Certificate", 503)
    with contextlib.suppress(ApiError):
        run(world, force=["api"])
    assert run(world)["status"] == "pass"


def test_an_unknown_credential_is_said(world: RotatingWorld) -> None:
    with pytest.raises(
        InputError, match=r"certificates_cert_manager\[0\]: no gateway names the credential x"
    ):
        world.rotate(cert_manager=["x"])
