# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that a rotation of the mesh's CA needs, asked before its first write.

Those of its last step and of the way back included: a rotation that can be begun can be ended. Which
workloads there are is not known yet: what restarts them is asked where they are restarted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rights.asking import refuse_missing
from ..rights.needs import access_needs
from ..rights.places import root_names
from ..rights.table import CA, CONTROL_PLANE, GATEWAYS, SERVICES, names_of
from .options import MeshCaOptions

if TYPE_CHECKING:
    from ...kube.access import AccessNeed
    from ...kube.client import KubeClient


def refuse_without_rights(client: KubeClient, options: MeshCaOptions) -> None:
    """To be called before the first write.

    :raises ApiError: with status 403, naming every right that is missing.
    """
    refuse_missing(client, needs_of(options), each=True)


def needs_of(options: MeshCaOptions) -> list[AccessNeed]:
    """What a rotation does not work without, but for its workloads. :returns: in the order of the table."""
    namespace, secret = options.root_home
    places = {CONTROL_PLANE: [options.namespace], CA: [namespace], GATEWAYS: [], SERVICES: []}
    needs = access_needs(["mesh_ca"], places, names={**names_of(), **root_names(secret)})
    return [need for need, lost in needs.items() if not lost]
