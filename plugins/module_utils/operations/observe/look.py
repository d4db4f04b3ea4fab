# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a cluster: what several parts of the answer need, read when the first one asks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MalformedError
from ...fields import namespace_of
from ...istio.metrics import Prometheus
from ...kube.clock import Clock
from ...kube.options import ConnectionOptions
from ...kube.pods import has_labels, is_active
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service
from ...model.installation.gateways import InstalledGateway
from .options import ObserveOptions

if TYPE_CHECKING:
    from ...kube.client import KubeClient

Pod = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ObserveLook:
    """What all parts look at.

    :ivar untold: what could not be read, as (part, why), in the order in which it was found.
    """

    client: KubeClient
    clock: Clock
    options: ObserveOptions
    connection: ConnectionOptions
    untold: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    _lists: dict[tuple[str, ...], list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    _secrets: dict[tuple[str, str], dict[str, Any] | None] = dataclasses.field(default_factory=dict)

    @property
    def catalogue(self) -> Catalogue:
        """The mesh as it is stated."""
        return self.options.catalogue

    @property
    def installed(self) -> tuple[InstalledGateway, ...]:
        """The gateway workloads that are installed. :returns: in the order of ``istio_gateways``."""
        return self.options.installed

    def tell_not(self, part: str, why: str) -> None:
        """Notes that something cannot be told: it is said in the result, never left out in silence."""
        if (part, why) not in self.untold:
            self.untold.append((part, why))

    def attempt(self, part: str, reading: Callable[[], Any], otherwise: Any) -> Any:
        """What ``reading`` finds; ``otherwise``, with a note, where it may not or cannot look."""
        try:
            return reading()
        except (ApiError, MalformedError) as error:
            self.tell_not(part, error.message)
            return otherwise

    def listed(self, api_version: str, kind: str, namespace: str) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace, read once. :returns: API objects.

        :raises ApiError: no right to look, or no answer.
        """
        key = (api_version, kind, namespace)
        if key not in self._lists:
            self._lists[key] = self.client.list(api_version, kind, namespace).items
        return self._lists[key]

    def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Secret, read once: many servers have one certificate, and many certificates one CA.

        :returns: the object, or None where there is none. :raises ApiError: no right to look, or no answer.
        """
        if (namespace, name) not in self._secrets:
            self._secrets[namespace, name] = self.client.get("v1", "Secret", name, namespace)
        return self._secrets[namespace, name]

    @functools.cached_property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of the mesh: of istiod, the gateways and the services. :returns: each once."""
        gateways = [item.namespace for item in self.installed]
        bound = [item.workload_namespace for item in self.catalogue.gateways]
        services = [item.namespace for item in self.catalogue.services]
        return tuple(dict.fromkeys([self.catalogue.istio_namespace, *gateways, *bound, *services]))

    @functools.cached_property
    def pods(self) -> list[Pod]:
        """The pods of the mesh's namespaces; of one that may not be read there are none, with a note.

        :returns: API objects.
        """
        found: list[Pod] = []
        for namespace in self.namespaces:
            found += self.attempt("pods", functools.partial(self.listed, "v1", "Pod", namespace), [])
        return found

    def pods_of(self, service: Service) -> list[Pod]:
        """The pods of a service of the catalogue that count for it. :returns: API objects."""
        return [
            pod
            for pod in self.pods
            if namespace_of(pod) == service.namespace and has_labels(pod, service.labels) and is_active(pod)
        ]

    @functools.cached_property
    def prometheus(self) -> Prometheus | None:
        """Where the metrics are; None where nobody says it."""
        options = self.options.prometheus
        return None if options is None else Prometheus(options, self.client)

    @property
    def kubectl(self) -> list[str]:
        """``kubectl`` as a person calls it for this cluster. :returns: its words."""
        words = ["kubectl"]
        if isinstance(self.connection.kubeconfig, str) and "\n" not in self.connection.kubeconfig:
            words += ["--kubeconfig", self.connection.kubeconfig]
        if self.connection.context:
            words += ["--context", self.connection.context]
        return words
