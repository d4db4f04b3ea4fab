# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a control plane is: the Deployment of istiod says which inventory installed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...errors import RefusedError
from ...fields import annotations_of
from ...inventory import Inventory, refusal
from ...istio.injection.read import read_injectors
from ...kube.client import KubeClient
from ...labels import FIELD_MANAGER, INSTALLED_BY_ANNOTATION
from ...model.installation.settings import Installation
from ...object_id import object_id
from .drift import DriftedObject, quiet


@dataclasses.dataclass(frozen=True, slots=True)
class Asker:
    """Who asks to change a control plane."""

    inventory: Inventory

    def refuse_foreign(self, client: KubeClient, installation: Installation, changes: Sequence[str]) -> None:
        """:param changes: what the run would do, such as ``delete Deployment edge/gateway``.

        :raises RefusedError: somebody else's installation would change.
        """
        holder = self._holder(client, installation)
        if changes and self.inventory.must_leave(holder):
            raise refusal(
                f"{installation.istiod} in {installation.namespace} is installed",
                holder,
                self.inventory,
                changes,
                annotation=INSTALLED_BY_ANNOTATION,
                instead="give both inventories the same istio_* variables",
                option="istio_take_over",
            )

    def claim(
        self, client: KubeClient, installation: Installation, *, check_mode: bool
    ) -> list[DriftedObject]:
        """Write down that the installation is ours, where nobody stands, or with ``take_over`` somebody else.

        :returns: the change of istiod's Deployment, if there is one.
        """
        live = client.get("apps/v1", "Deployment", installation.istiod, installation.namespace)
        if live is None:
            return []
        holder = annotations_of(live).get(INSTALLED_BY_ANNOTATION, "")
        name = self.inventory.holder_after(holder)
        if name == holder:
            return []
        body = {"metadata": {"annotations": {INSTALLED_BY_ANNOTATION: name}}}
        metadata = {
            **live["metadata"],
            "annotations": {**annotations_of(live), INSTALLED_BY_ANNOTATION: name},
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
        return [DriftedObject(object_id(live), "update", quiet(live), after, after)]

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
