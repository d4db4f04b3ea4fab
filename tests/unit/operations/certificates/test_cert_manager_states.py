# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state in which a Certificate of cert-manager can be found, and what the run says and does then."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.secret import Assessment
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import facts_of
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import cert_manager

from ...support import certificates as made
from .test_cert_manager import DAY, HOME, HOST, WHERE, Controller, run
from .test_rotation import RotatingWorld

NOW = datetime.datetime(2026, 11, 10, 12, tzinfo=datetime.UTC)
HELPER = 60
"""Seconds that the helper lets pass after a run."""
SECOND = datetime.timedelta(seconds=1)
WEB = Credential(HOME, "api", (HOST, "b.example.com"), source="cert-manager")
LEAF = made.certificate(
    "x", made.ec_key(), issuer=("root", made.ROOT_KEY), begin=NOW - 50 * DAY, end=NOW + 50 * DAY
)
GOOD = Assessment("keep", facts=facts_of(LEAF))


def judged(
    *, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any
) -> Assessment:
    one = {
        "metadata": {"name": "web", "namespace": HOME},
        "spec": {"secretName": "api", "dnsNames": [HOST, "b.example.com"], **(spec or {})},
        "status": status or {},
    }
    given = {"forced": "", "leaked": False, "now": NOW, "renew_at": 0.33, **more}
    return cert_manager.judge(WEB, one, given.pop("assessment", GOOD), **given)


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        ({}, ""),
        ({"dnsNames": ["*.example.com"]}, ""),
        ({"dnsNames": [HOST], "commonName": "b.example.com"}, ""),
        ({"dnsNames": [HOST]}, "b.example.com"),
        ({"dnsNames": [], "commonName": "else.example.com"}, f"{HOST}, b.example.com"),
        ({"dnsNames": ["*.com"]}, f"{HOST}, b.example.com"),
    ],
)
def test_the_hosts_that_it_does_not_ask_for_are_named(spec: dict[str, Any], missing: str) -> None:
    found = judged(spec=spec)
    if not missing:
        assert found.action == "keep"
        return
    assert (found.action, found.reasons) == (
        "refuse",
        (f"{WHERE} does not ask for {missing}: add it to its spec.dnsNames",),
    )


@pytest.mark.parametrize(
    ("policy", "leaked", "action"),
    [("Never", True, "refuse"), ("Never", False, "keep"), ("Always", True, "keep"), ("", True, "keep")],
)
def test_only_a_leaked_key_that_would_be_kept_is_refused(policy: str, leaked: bool, action: str) -> None:
    assert judged(spec={"privateKey": {"rotationPolicy": policy}}, leaked=leaked).action == action


def at(moment: datetime.datetime) -> dict[str, Any]:
    return {"renewalTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


FIVE = datetime.timedelta(minutes=5)
LATE = "cert-manager wanted to renew it on 2026-11-10T11:54:59Z, and has not"


@pytest.mark.parametrize(
    ("status", "renew_at", "reason"),
    [
        (at(NOW + DAY), 0.1, ""),
        (at(NOW), 0.1, ""),
        (at(NOW - FIVE), 0.1, ""),
        (
            at(NOW - FIVE - SECOND),
            0.9,
            LATE,
        ),
        ({}, 0.49, ""),
        ({}, 0.5, "it ends on 2026-12-30 12:00 UTC"),
    ],
)
def test_when_it_is_overdue(status: dict[str, Any], renew_at: float, reason: str) -> None:
    """By its own time of renewal, with five minutes of patience; without one by that of the run."""
    found = judged(status=status, renew_at=renew_at)
    assert (found.action, found.reasons) == (("trigger", (reason,)) if reason else ("keep", ()))


def test_a_fault_outweighs_the_wish_and_the_wish_the_schedule() -> None:
    faulty = dataclasses.replace(GOOD, faults=("it has expired",))
    assert judged(assessment=faulty, forced="asked for").reasons == ("it has expired",)
    assert judged(forced="asked for").reasons == ("asked for",)
    assert judged(status=at(NOW - DAY), forced="asked for").reasons == ("asked for",)


def test_what_is_at_work_is_awaited_and_keeps_its_reasons() -> None:
    issuing = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Issuing", "status": "True"}]}
    faulty = dataclasses.replace(GOOD, reasons=("it has expired",), faults=("it has expired",))
    found = judged(status=issuing, assessment=faulty)
    assert (found.action, found.reasons) == ("await", (f"{WHERE} is being issued", "it has expired"))
    ended = {"conditions": [{"type": "Issuing", "status": "False"}]}
    assert judged(status=ended).action == "keep"
    assert judged(status=ended, assessment=faulty).action == "trigger"


def test_what_was_never_issued_is_awaited_and_an_unreadable_pair_is_asked_for_anew() -> None:
    never = judged(assessment=Assessment("create"))
    assert (never.action, never.reasons) == ("await", (f"{WHERE} has not issued it yet",))
    broken = judged(assessment=Assessment("refuse", faults=("tls.crt holds no certificate",)))
    assert (broken.action, broken.reasons) == ("trigger", ("tls.crt holds no certificate",))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return RotatingWorld(monkeypatch)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([], "cert-manager has not looked at it"),
        ([{"type": "Ready", "status": "False", "reason": "DoesNotExist"}], "Ready is False: DoesNotExist"),
        ([{"type": "Ready", "status": "False"}], "Ready is False: no reason"),
        (
            [
                {"type": "Ready", "status": "False", "reason": "r", "message": "no Secret"},
                {"type": "Issuing", "status": "True", "message": "at work"},
                {"type": "Odd", "status": "True", "message": "nobody asked"},
            ],
            "Issuing is True: at work; Ready is False: no Secret",
        ),
    ],
)
def test_one_that_never_issues_is_told_with_what_cert_manager_says(
    world: RotatingWorld, conditions: list[dict[str, Any]], said: str
) -> None:
    controller = Controller(world)
    controller.mode = "dead"
    controller.set_status(conditions=conditions)
    begun = world.clock.time
    with pytest.raises(MeshError) as caught:
        run(world)
    assert f"{WHERE} was not issued within 20 s: {said}" in caught.value.message
    assert not caught.value.message.endswith("nobody asked")
    assert world.clock.time - begun == pytest.approx(HELPER + 20)
    assert [verb for verb, what in world.cluster.writes if what.startswith("Certificate ")] == []


def test_one_that_is_deleted_meanwhile_ends_the_waiting_at_once(world: RotatingWorld) -> None:
    sleep = world.clock.sleep
    controller = Controller(world)
    controller.issue()

    def deleting(seconds: float) -> None:
        sleep(seconds)
        world.cluster.remove("Certificate", "web", HOME)
        world.clock.sleep = sleep

    controller.mode = "dead"
    world.clock.sleep = deleting
    begun = world.clock.time
    with pytest.raises(MeshError) as caught:
        run(world, force=["api"])
    assert f"{WHERE} was not issued: it is gone" in caught.value.message
    assert world.clock.time - begun < HELPER + 1


def test_a_new_secret_is_not_taken_while_it_is_still_at_work(world: RotatingWorld) -> None:
    """cert-manager writes the Secret first and takes the condition away then; nothing is proved between."""
    controller = Controller(world)
    controller.issue()
    old = world.gateways.serving
    real, seen = controller.issue, []

    def in_two_steps() -> None:
        real()
        if not seen:
            seen.append(world.gateways.serving)
            controller.set_status(conditions=[{"type": "Issuing", "status": "True", "reason": "Renewing"}])

    controller.issue = in_two_steps
    result = run(world, force=["api"])
    assert result["status"] == "pass"
    assert world.gateways.serving not in (old, *seen), "the pair of the first step is not the last"
    assert result["certificates"][0]["fingerprint_sha256"] == world.gateways.serving


def test_a_server_that_refuses_the_patch_is_told_as_it_said(world: RotatingWorld) -> None:
    controller = Controller(world)
    controller.issue()
    world.cluster.fail("patch", "Certificate", 403)
    with pytest.raises(ApiError) as caught:
        run(world, force=["api"])
    assert caught.value.status == 403
