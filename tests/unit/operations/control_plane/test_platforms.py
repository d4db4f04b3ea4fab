# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What platforms change is no drift, and drift beside it is repaired."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.platforms import Kept
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import drift

from ...support.cluster import FakeCluster
from ...support.platforms import (
    AKS,
    AUTOPILOT,
    MANAGER,
    MUTATIONS,
    Mutation,
    Obj,
    bundle,
    excluding,
    image,
    key,
    mutated,
    webhooks,
)


def compared(
    cluster: FakeCluster, rendered: Obj
) -> tuple[list[drift.DriftedObject], dict[str, tuple[Kept, ...]]]:
    kept: dict[str, tuple[Kept, ...]] = {}
    return drift.compare(cluster, [rendered], field_manager=MANAGER, kept=kept), kept


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_platform_changes_is_left_and_told(name: str) -> None:
    mutation = MUTATIONS[name]
    cluster = mutated(mutation)
    found, kept = compared(cluster, mutation.rendered)
    assert found == []
    assert cluster.writes == []
    assert len(kept) == 1
    notes = next(iter(kept.values()))
    assert {note.manager for note in notes} == {mutation.manager}


def test_a_new_version_goes_on_although_a_policy_pinned_the_old_one() -> None:
    mutation = MUTATIONS["Kyverno, a digest"]
    newer = copy.deepcopy(mutation.rendered)
    image("docker.io/istio/pilot:1.31.2")(newer)
    found, _kept = compared(mutated(mutation), newer)
    assert found[0].after["spec"]["template"]["spec"]["containers"][0]["image"].endswith("1.31.2")


def test_drift_beside_a_platforms_change_is_repaired_and_that_change_stays() -> None:
    mutation = MUTATIONS["AKS"]
    cluster = mutated(mutation)
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None
    live["webhooks"][0]["clientConfig"]["service"]["name"] = "elsewhere"
    found, _kept = compared(cluster, mutation.rendered)
    drift.repair(cluster, found, field_manager=MANAGER)
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None
    assert live["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod"
    assert AKS[0] in live["webhooks"][0]["namespaceSelector"]["matchExpressions"]


@pytest.mark.parametrize("seed", range(30))
def test_any_of_them_at_any_time_change_nothing(seed: int) -> None:
    """One cluster, some of the changes one after the other, each run twice."""
    chance = random.Random(seed)
    objects = {key(mutation.rendered): mutation.rendered for mutation in MUTATIONS.values()}
    for name in chance.sample(sorted(MUTATIONS), chance.randint(1, len(MUTATIONS))):
        mutation = MUTATIONS[name]
        if objects[key(mutation.rendered)] != mutation.rendered:
            continue  # rendered otherwise
        cluster = mutated(mutation)
        for _time in range(2):
            found, kept = compared(cluster, mutation.rendered)
            assert (found, len(kept), cluster.writes) == ([], 1, []), name


def test_a_bundle_that_a_person_wrote_is_drift_and_istiods_is_not() -> None:
    """Nothing of it is rendered: istiod patches it in, and would do so again."""
    mutation = Mutation(webhooks(), "pilot-discovery", bundle)
    assert compared(mutated(mutation), mutation.rendered) == ([], {})
    by_hand, _kept = compared(mutated(mutation, "kubectl-edit"), mutation.rendered)
    assert [item.action for item in by_hand] == ["update"]


class Admitting(FakeCluster):
    """GKE's admission webhook: it answers every write, dry runs too, and leaves no manager of its own."""

    def apply_told(self, obj: Obj, **options: Any) -> Any:
        changed = copy.deepcopy(dict(obj))
        if "webhooks" in changed:
            excluding({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": AUTOPILOT})(
                changed
            )
        return super().apply_told(changed, **options)

    def apply(self, obj: Obj, **options: Any) -> Any:
        return self.apply_told(obj, **options)[0]


def test_what_is_changed_at_admission_is_no_drift() -> None:
    rendered = webhooks()
    cluster = Admitting({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}})
    cluster.apply(rendered, field_manager=MANAGER)
    cluster.writes.clear()
    found, kept = compared(cluster, rendered)
    assert (found, kept, cluster.writes) == ([], {}, [])
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None and "gke-managed-cim" in str(live["webhooks"])
