# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an injection run, parsed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...inventory import Inventory
from ...model.installation.gateways import gateways_of
from ...model.installation.injection import NamespaceRequest, read_requests


@dataclasses.dataclass(frozen=True, slots=True)
class InjectionOptions:
    """What a run shall achieve, and how.

    :param requests: the namespaces with what is wanted of them, those of gateways included.
    :param restart_anyway: patterns such as ``StatefulSet shop/*`` of workloads that may be restarted although
        they would only be listed. :param batch: workloads restarted at the same time, at least 1.
    :param timeout: seconds that one batch may take. :param inventory: who asks.
    """

    requests: tuple[NamespaceRequest, ...]
    istio_namespace: str
    restart: bool
    restart_anyway: tuple[str, ...]
    replace_foreign_labels: bool
    batch: int
    timeout: float
    inventory: Inventory


def read_options(params: Mapping[str, Any]) -> InjectionOptions:
    """The options out of the module's parameters.

    :raises InputError: with every problem of the namespaces, or of the gateways, or for an empty batch.
    """
    requests = read_requests(params["namespaces"])
    places = params["gateway_namespaces"]
    if places is None:
        variables = {"istio_gateways": params["gateways"], "istio_namespace": params["istio_namespace"]}
        places = [gateway.namespace for gateway in gateways_of(variables)]
    named = {request.name for request in requests}
    gateways = [name for name in dict.fromkeys(places) if name not in named]
    if params["batch"] < 1:
        raise InputError([Problem("injection_batch", f"is {params['batch']}, not at least 1", "range")])
    return InjectionOptions(
        requests=(*requests, *(NamespaceRequest(name, "keep") for name in gateways)),
        istio_namespace=params["istio_namespace"],
        restart=params["restart"],
        restart_anyway=tuple(params["restart_anyway"]),
        replace_foreign_labels=params["replace_foreign_labels"],
        batch=params["batch"],
        timeout=float(params["timeout"]),
        inventory=Inventory.from_params(params),
    )
