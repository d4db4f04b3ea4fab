# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a control plane is: two inventories with different ``istio_*`` would undo each other's work in turn.

All inventories write as the same field manager, and each finds a mere difference that it may settle. So the
Deployment of istiod says which one installed it, and another one is refused before its first write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...errors import RefusedError
from ...fields import annotations_of
from ...istio.injection.read import read_injectors
from ...kube.client import KubeClient
from ...labels import FIELD_MANAGER, INSTALLED_BY_ANNOTATION
from ...model.installation.settings import Installation
from ...object_id import object_id
from .drift import Difference, quiet

_WAY_OUT = (
    "give both inventories the same istio_* variables, or install with the inventory of {owner} only, "
    "or take it over once with -e istio_take_over=true"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """Who asks. :param name: of the inventory, usually its mesh; "" for nobody in particular.

    :param take_over: whether the installation of somebody else may be changed, and is ours from then on.
    """

    name: str
    take_over: bool = False

    def refuse_foreign(self, client: KubeClient, installation: Installation, changes: Sequence[str]) -> None:
        """:param changes: what the run would do, such as ``delete Deployment edge/gateway``.

        :raises RefusedError: somebody else's installation would change.
        """
        holder = self._holder(client, installation)
        if not changes or not holder or holder == self.name or self.take_over:
            return
        asker = f"{self.name!r}" if self.name else "this one, which names no istio_owner,"
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise RefusedError(
            f"{installation.istiod} in {installation.namespace} is installed by the inventory of {holder!r} "
            f"(annotation {INSTALLED_BY_ANNOTATION}), and {asker} would change it: "
            f"{', '.join(changes[:3])}{more}; " + _WAY_OUT.format(owner=repr(holder)),
            rule="one-inventory",
        )

    def claim(self, client: KubeClient, installation: Installation, *, check_mode: bool) -> list[Difference]:
        """Write down that the installation is ours, where nobody stands, or with ``take_over`` somebody else.

        :returns: the change of istiod's Deployment, if there is one.
        """
        live = client.get("apps/v1", "Deployment", installation.istiod, installation.namespace)
        if live is None or not self.name:
            return []
        holder = annotations_of(live).get(INSTALLED_BY_ANNOTATION, "")
        if holder == self.name or (holder and not self.take_over):
            return []
        body = {"metadata": {"annotations": {INSTALLED_BY_ANNOTATION: self.name}}}
        metadata = {
            **live["metadata"],
            "annotations": {**annotations_of(live), INSTALLED_BY_ANNOTATION: self.name},
        }
        after = quiet({**live, "metadata": metadata})
        if not check_mode:
            client.patch(
                "apps/v1",
                "Deployment",
                installation.istiod,
                installation.namespace,
                body,
                field_manager=FIELD_MANAGER,
            )
        return [Difference(object_id(live), "update", quiet(live), after, after)]

    @staticmethod
    def _holder(client: KubeClient, installation: Installation) -> str:
        live = client.get("apps/v1", "Deployment", installation.istiod, installation.namespace)
        return annotations_of(live or {}).get(INSTALLED_BY_ANNOTATION, "")


def refuse_second_of_a_revision(client: KubeClient, installation: Installation) -> None:
    """Two istiods of one revision would both inject every pod and both answer for its namespaces.

    :raises RefusedError: the revision already runs in another namespace.
    """
    revision = installation.revision or "default"
    for injector in read_injectors(client):
        if injector.revision != revision or injector.tag or injector.service is None:
            continue
        namespace, service = injector.service
        if namespace != installation.namespace:
            raise RefusedError(
                f"revision {revision!r} already runs in namespace {namespace} (Service {service}, by "
                f"{injector.configuration}), istio_namespace is {installation.namespace}: both would inject "
                f"the same pods; state istio_namespace: {namespace}, or another istio_revision",
                rule="one-control-plane",
            )
