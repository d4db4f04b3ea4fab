# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that a rotation of the mesh's CA needs in istiod's namespace, asked before its first write.

Those of its last step and of the way back included: a rotation that can be begun can be ended. What restarts
workloads is asked where they are restarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...kube.access import AccessNeed
from ...model.certificates.mesh_ca import PLUGGED, SELF_SIGNED
from ..rights.asking import refuse_missing
from ..rights.needs import lease_needs
from .journal import JOURNAL

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def refuse_without_rights(client: KubeClient, namespace: str, lease: str) -> None:
    """To be called before the first write.

    :param namespace: of istiod. :param lease: name of the Lease that is held.
    :raises ApiError: with status 403, naming every right that is missing.
    """
    refuse_missing(client, list(_needs(namespace, lease)), each=True)


def _needs(home: str, lease: str) -> Iterator[AccessNeed]:
    yield from lease_needs(home, lease)
    yield AccessNeed("create", "", "secrets", home)
    for name in (PLUGGED, JOURNAL):
        for verb in ("update", "delete"):
            yield AccessNeed(verb, "", "secrets", home, name)
    yield AccessNeed("delete", "", "secrets", home, SELF_SIGNED)
    yield AccessNeed("patch", "apps", "deployments", home)
    yield AccessNeed("create", "networking.istio.io", "virtualservices", home)
    for verb in ("create", "get"):
        yield AccessNeed(verb, "", "pods", home, subresource="exec")
