# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready pods behind each version of a service, read from EndpointSlices and Pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...fields import field, labels_of, mappings_at, name_of, text_at
from ...kube.pods import faults, has_labels, is_terminating, takes_requests
from .protocols import Objects


@dataclasses.dataclass(frozen=True, slots=True)
class VersionEndpoints:
    """The pods of one version.

    :param ready: names of pods that the Service sends requests to. :param all: names of all pods.
    :param templates: ``pod-template-hash`` of the pods that are not going away: two of them = a new revision.
    """

    version: str
    ready: tuple[str, ...]
    all: tuple[str, ...]
    templates: tuple[str, ...]
    troubles: tuple[str, ...] = ()

    def describe(self) -> str:
        """Short text for messages: ``v2 has 0 of 1 pods ready (CrashLoopBackOff)``."""
        trouble = f" ({', '.join(self.troubles)})" if self.troubles else ""
        return f"{self.version} has {len(self.ready)} of {len(self.all)} pods ready{trouble}"


class EndpointReader:
    """Reads the versions of one service.

    :param labels: version -> the labels of its pods. :param service: name of the Kubernetes Service.
    """

    def __init__(
        self, client: Objects, *, service: str, namespace: str, labels: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._client = client
        self._service = service
        self._namespace = namespace
        self._labels = labels

    def read(self) -> dict[str, VersionEndpoints]:
        """Ready pods of each version, from two LISTs. :returns: version -> its endpoints."""
        slices = self._client.list(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            self._namespace,
            label_selector=f"kubernetes.io/service-name={self._service}",
        )
        serving = {
            text_at(endpoint, "targetRef", "name")
            for item in slices.items
            for endpoint in mappings_at(item, "endpoints")
            # an absent condition "ready" counts as true (discovery.k8s.io/v1)
            if field(endpoint, "conditions", "ready") is not False
            and not field(endpoint, "conditions", "terminating")
        }
        selectors = {version: dict(labels) for version, labels in self._labels.items()}
        pods = self._client.list(
            "v1", "Pod", self._namespace, label_selector=_common_selector(selectors)
        ).items
        return {
            version: _endpoints_of(version, labels, pods, serving) for version, labels in selectors.items()
        }


def _common_selector(selectors: Mapping[str, Mapping[str, str]]) -> str:
    """One selector that finds the pods of all versions: the keys they share."""
    shared = set.intersection(*(set(labels) for labels in selectors.values()))
    terms = []
    for key in sorted(shared):
        values = sorted({labels[key] for labels in selectors.values()})
        terms.append(f"{key} in ({','.join(values)})")
    return ",".join(terms)


def _endpoints_of(
    version: str, labels: Mapping[str, str], pods: list[dict[str, Any]], serving: set[str]
) -> VersionEndpoints:
    alive = [pod for pod in pods if has_labels(pod, labels) and not is_terminating(pod)]
    ready = [name_of(pod) for pod in alive if name_of(pod) in serving and takes_requests(pod)]
    hashes = {labels_of(pod).get("pod-template-hash", "") for pod in alive}
    return VersionEndpoints(
        version=version,
        ready=tuple(sorted(ready)),
        all=tuple(sorted(map(name_of, alive))),
        templates=tuple(sorted(hash_ for hash_ in hashes if hash_)),
        troubles=tuple(sorted({reason for pod in alive for reason in faults(pod)})),
    )
