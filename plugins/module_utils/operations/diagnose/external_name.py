# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A destination that is no service of the catalogue, but a name that stands for another host."""

from __future__ import annotations

from ...errors import ApiError
from ...fields import text_at
from ...kube.client import KubeClient
from ...model.catalogue.mesh import Catalogue


def stands_for(client: KubeClient, catalogue: Catalogue, name: str) -> str:
    """What is to be said of a destination that is a Service of type ExternalName; ``""`` for anything else.

    :param name: of the Service in ``mesh_namespace``, or ``namespace/name``.
    """
    namespace, _slash, short = name.rpartition("/")
    place = namespace or catalogue.namespace
    try:
        services = client.list("v1", "Service", place).items
    except ApiError as error:
        if error.status != 403:
            raise
        return ""
    for service in services:
        target = text_at(service, "spec", "externalName").rstrip(".")
        if (
            text_at(service, "metadata", "name") != short
            or text_at(service, "spec", "type") != "ExternalName"
        ):
            continue
        said = f"Service {place}/{short} of type ExternalName only stands for {target}"
        external = next((item for item in catalogue.external_services if target in item.hosts), None)
        if external is not None:
            return (
                f"{said}, a host of external service {external.name!r}: calls through that name fail with "
                f"502; call {target} itself"
            )
        return f"{said}, which the catalogue does not describe: add it to mesh_external_services and call it"
    return ""
