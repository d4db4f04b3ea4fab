# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dead man's alarm: a rotation that is scheduled and does not come ends a mesh as surely as a bad one."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import annotations_of
from ....kube.clock import seconds_of
from ....model.certificates.trust import ROTATION, TrustEntry
from ...certificates.backend import LAST_SUCCESS, LEASE
from ..look import TrustLook

PERIODS = 2.0


def rotations(look: TrustLook) -> Iterator[TrustEntry]:
    """When the last rotation went well, in each namespace with a credential of the catalogue."""
    if not look.rotation_period:
        return
    for namespace in sorted({credential.namespace for credential in look.credentials}):
        where = f"Lease {namespace}/{LEASE}"
        lease = look.client.get("coordination.k8s.io/v1", "Lease", LEASE, namespace)
        last = seconds_of(annotations_of(lease).get(LAST_SUCCESS, ""))
        if last is None:
            text = "no rotation with certificates_record has gone well yet"
            yield look.judge.wrong(ROTATION, where, "last run", "no-rotation", text)
            continue
        ago = look.judge.now.timestamp() - last
        if ago > PERIODS * look.rotation_period:
            text = f"the last rotation went well {ago / 3600:.1f} h ago, more than two periods"
            yield look.judge.wrong(ROTATION, where, "last run", "no-rotation", text)
