# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a credential that a run leaves, what was written stays told, and what was not is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.companions import (
    refuse_another,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.renewal import Renewal
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.result import _summary
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.rotation import (
    Rotation,
)


@pytest.mark.parametrize(("version", "told"), [("", False), ("17", True)])
def test_cas_of_clients_that_were_written_stay_told(version: str, *, told: bool) -> None:
    item: Any = SimpleNamespace(
        current={"kind": "Secret"}, clients="goal", clients_version=version, failure=None
    )
    other: Any = SimpleNamespace()
    unused: Any = None
    renewal = Renewal(unused, unused, unused, unused, None, frozenset(), items=[item, other])
    error = RefusedError("no", rule="held")
    renewal.leave(item, error)
    assert (renewal.items, renewal.left, item.failure) == ([other], [item], error)
    assert item.clients == ("goal" if told else None)


@pytest.mark.parametrize(
    ("lost", "status", "ends", "left"),
    [
        ("a", 422, True, []),
        ("a", 503, True, []),
        ("b", 503, True, []),
        ("b", 422, False, ["b"]),
        ("", 0, False, []),
    ],
)
def test_a_credential_is_worked_on_with_its_own_lease_alone(
    lost: str, status: int, ends: bool, left: list[str]
) -> None:
    """The Lease of another namespace costs the credentials there; no answer ends the run."""

    class Held:
        def __init__(self, namespace: str) -> None:
            self.namespace = namespace

        def renew_if_due(self) -> None:
            if self.namespace == lost:
                raise ApiError("no", status=status)

    items: list[Any] = [
        SimpleNamespace(credential=Credential(name, name, ("h",)), current={}, clients_version="1")
        for name in ("a", "b")
    ]
    unused: Any = None
    leases: Any = [Held("a"), Held("b")]
    renewal = Renewal(unused, unused, unused, unused, None, frozenset(), items=list(items))
    rotation = Rotation(renewal, leases, unused)
    if ends:
        with pytest.raises(ApiError, match=r"^no$"):
            rotation.alive(items[0])
    else:
        rotation.alive(items[0])
        rotation.alive(items[0])
    assert [item.credential.name for item in renewal.left] == left


@pytest.mark.parametrize(("reason", "end"), [("", "0 unchanged"), ("no proof", "0 unchanged - no proof")])
def test_a_verdict_without_a_reason_ends_with_its_counts(reason: str, end: str) -> None:
    counts = {"credentials": 1, "created": 1, "updated": 0, "unchanged": 0, "requested": 0}
    given = {"status": "pass", "counts": counts, "reason": reason, "certificates": []}
    assert _summary(given) == [f"pass: 1 credentials, 1 created, 0 updated, {end}"]


OURS = {"app.kubernetes.io/managed-by": "servicemesh.istio", "app.kubernetes.io/part-of": "shop"}


@pytest.mark.parametrize(
    ("labels", "credential", "why"),
    [
        (OURS, "api", ""),
        (OURS, "www", "it is something else"),
        (OURS, None, "it is something else"),
        ({**OURS, "app.kubernetes.io/part-of": "bank"}, "api", "it belongs to the mesh bank"),
        ({**OURS, "app.kubernetes.io/managed-by": "Helm"}, "www", "it is managed by Helm"),
    ],
)
def test_a_secret_beside_a_credential_is_its_own(
    labels: dict[str, str], credential: str | None, why: str
) -> None:
    marks = {"of": credential} if credential else {}
    secret = {"metadata": {"name": "api-prev", "labels": labels, "annotations": marks}}
    given = {"mark": "of", "told": "Secret a/api-prev", "purpose": "the previous pair"}
    if not why:
        refuse_another(secret, Credential("a", "api", ("h",)), "shop", **given)
        return
    with pytest.raises(RefusedError) as caught:
        refuse_another(secret, Credential("a", "api", ("h",)), "shop", **given)
    told = f"Secret a/api-prev is needed for the previous pair of api, and {why}: rename one of them"
    assert str(caught.value) == told
