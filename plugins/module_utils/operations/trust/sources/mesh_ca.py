# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation of the mesh's CA that is under way: told, and an alarm when it does not end."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from ....kube.clock import seconds_of
from ....model.certificates.trust import DUE, ROTATION, TrustEntry
from ....model.certificates.x509 import CertificateFault
from ...mesh_ca.journal import JOURNAL
from ..look import TrustLook


def mesh_ca_rotation(look: TrustLook) -> Iterator[TrustEntry]:
    """Where it stands. One older than the limit was forgotten: proxies trust two roots, or wait for one."""
    journal = look.rotation
    if journal is None:
        return
    where = f"Secret {look.istio_namespace}/{JOURNAL}"
    begun = seconds_of(journal.begun)
    if begun is None:
        yield look.judge.unknown(ROTATION, where, "does not say when the rotation began")
        return
    age = look.judge.now - datetime.datetime.fromtimestamp(begun, datetime.UTC)
    hours = age.total_seconds() / 3600
    way = "back" if journal.back else "on"
    text = (
        f"a rotation of the mesh's CA is at stage {journal.current.name}, begun {hours:.1f} h ago: playbook "
        f"rotate_mesh_ca.yml leads it {way}"
    )
    if age.total_seconds() > look.mesh_ca_limit:
        limit = f"{text}; it should have ended after {look.mesh_ca_limit / 3600:g} h"
        yield look.judge.wrong(ROTATION, where, "mesh CA", "unfinished", limit)
    else:
        yield TrustEntry(ROTATION, where, "mesh CA", DUE, (CertificateFault("in-progress", text),))
