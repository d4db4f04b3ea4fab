# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each planted problem is the first or second cause, with the object at fault; a healthy mesh has none."""

from __future__ import annotations

import json

import pytest

from .healthy_mesh import API, CATALOGUE, OLD, Healthy, diagnose, line
from .planted import AT_GATEWAY, CALL, NOTHING, OUTSIDE, YOUNG, Planted
from .problems.control_plane import CONTROL_PLANE
from .problems.dns import DNS
from .problems.egress import EGRESS
from .problems.gateway import GATEWAY
from .problems.injection import INJECTION
from .problems.latency import LATENCY
from .problems.routing import ROUTING
from .problems.security import SECURITY
from .told import check

PROBLEMS = [*INJECTION, *ROUTING, *SECURITY, *GATEWAY, *EGRESS, *LATENCY, *CONTROL_PLANE, *DNS]


@pytest.mark.parametrize("planted", PROBLEMS, ids=lambda one: f"{one.family}: {one.name}")
def test_a_planted_problem_is_the_first_or_second_cause(planted: Planted) -> None:
    result = check(f"{planted.family}: {planted.name}", planted.plant, planted.symptom)
    first = [(cause["family"], cause["object"]) for cause in result["causes"][:2]]
    assert (planted.family, planted.object) in first, json.dumps(result["causes"][:5], indent=1)
    assert result["status"] == "fail"
    cause = next(one for one in result["causes"] if one["object"] == planted.object)
    assert cause["remedy"]
    assert cause["cause"]


def test_every_family_has_at_least_five_problems() -> None:
    families = {one.family for one in PROBLEMS}
    assert len(families) == 8
    assert all(sum(one.family == family for one in PROBLEMS) >= 5 for family in families)


SYMPTOMS = [
    NOTHING,
    CALL,
    AT_GATEWAY,
    OUTSIDE,
    {"pod": "web-1"},
    {"destination": "api"},
    {"source": "web"},
    {"namespace": "shop"},
    {"hostname": "api.shop"},
    {"hostname": API},
]


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=str)
def test_a_healthy_mesh_has_no_cause(symptom: dict[str, str]) -> None:
    result = diagnose(Healthy(), **symptom)
    assert (result["causes"], result["unknown"], result["status"]) == ([], [], "pass")
    assert (result["cause"], result["changed"]) == ("", False)


REFUSED = line(
    403, cluster="inbound|3000||", details="rbac_access_denied_matched_policy[none]", peer="10.9.9.9"
)


@pytest.mark.parametrize("symptom", [CALL, {"destination": "api"}, NOTHING], ids=str)
@pytest.mark.parametrize("peer", ["10.9.9.9", "the caller's"])
def test_that_strangers_were_refused_or_that_it_has_been_mended_is_no_cause(
    symptom: dict[str, str], peer: str
) -> None:
    cluster = Healthy()
    known = cluster.edit("Pod", "web-1")["status"]["podIP"]
    cluster.log("api-1", REFUSED.replace("10.9.9.9", known if peer == "the caller's" else peer))
    assert diagnose(cluster, **symptom)["causes"] == []


def test_what_stands_behind_the_path_is_asked_of_no_policy() -> None:
    cluster = Healthy()
    cluster.edit("AuthorizationPolicy", "api")["spec"]["rules"][0]["to"] = [
        {"operation": {"paths": ["/api"]}}
    ]
    known = cluster.edit("Pod", "web-1")["status"]["podIP"]
    details = "rbac_access_denied_matched_policy[none]"
    cluster.log("api-1", line(403, cluster="inbound|3000||", details=details, peer=known, path="/api?a=1"))
    assert diagnose(cluster, **CALL, path="/api?a=1#b")["causes"] == []
    assert diagnose(cluster, **CALL, path="/apix")["cause"] != ""


def test_objects_are_old_and_the_catalogue_is_small() -> None:
    """The healthy mesh is no stand-in: it has what a diagnosis looks at."""
    kinds = {key[0] for key in Healthy().objects}
    assert {"Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "AuthorizationPolicy"} <= kinds
    assert CATALOGUE["mesh_services"] == []
    assert OLD < YOUNG
