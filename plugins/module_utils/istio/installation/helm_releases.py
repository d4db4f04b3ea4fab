# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Helm releases that make up one installation: charts, order, values, and where the charts come from."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...fields import field
from ...files import at_home
from ...kube.proxies import credentials_in
from ...model.installation.gateways import InstalledGateway
from ...model.installation.settings import Installation, deep_merge

BASE_RELEASE = "istio-base"
# Marks the gateways of this collection, so that one taken off the list is found and removed.
GATEWAY_MARK = "servicemesh.istio/gateway"
# Profiles of the charts set values only; these two mean "nothing" (manifests/helm-profiles).
_NO_PROFILE = ("default", "minimal")
# Where a chart lies in a directory: packaged, unpacked, or as in Istio's own release archive.
_CHART_PLACES = {
    "base": ("base-{version}.tgz", "base", "manifests/charts/base"),
    "istiod": (
        "istiod-{version}.tgz",
        "istiod",
        "istio-control/istio-discovery",
        "manifests/charts/istio-control/istio-discovery",
    ),
    "gateway": ("gateway-{version}.tgz", "gateway", "manifests/charts/gateway"),
}
_URL = re.compile(r"https?://\S+")


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """One Helm release as it should be."""

    name: str
    namespace: str
    chart: str
    values: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What Helm tells releases apart by: gateways of two namespaces may share a name.

        :returns: namespace and name.
        """
        return self.namespace, self.name


@dataclasses.dataclass(frozen=True, slots=True)
class ChartReference:
    """How helm is told about a chart.

    :param reference: directory, package, OCI reference, or a plain name together with ``repository``.
    :param version: given to helm as ``--version``; empty for something on disk.
    """

    reference: str
    repository: str = ""
    version: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments after ``helm template NAME``.

        :returns: the chart, with ``--repo`` and ``--version`` where it comes from a repository.
        """
        repository = ("--repo", self.repository) if self.repository else ()
        version = ("--version", self.version) if self.version else ()
        return (self.reference, *repository, *version)


def desired_releases(installation: Installation) -> tuple[Release, ...]:
    """All releases in the order of installation: CRDs, istiod, then the gateways that istiod injects.

    :returns: one per release, in that order.
    """
    return (
        Release(BASE_RELEASE, installation.namespace, "base", _base_values(installation)),
        Release(installation.istiod, installation.namespace, "istiod", _istiod_values(installation)),
        *(
            Release(gateway.name, gateway.namespace, "gateway", _gateway_values(gateway, installation))
            for gateway in installation.gateways
        ),
    )


def _profile(installation: Installation) -> dict[str, Any]:
    return {} if installation.profile in _NO_PROFILE else {"profile": installation.profile}


def _base_values(installation: Installation) -> dict[str, Any]:
    values = {
        **_profile(installation),
        "defaultRevision": installation.default_revision,
        "global": {"istioNamespace": installation.namespace},
    }
    return deep_merge(values, installation.values)


def _istiod_values(installation: Installation) -> dict[str, Any]:
    values: dict[str, Any] = {
        **_profile(installation),
        "global": {
            "hub": installation.hub,
            "tag": installation.tag,
            "istioNamespace": installation.namespace,
        },
    }
    if installation.mesh_config:
        values["meshConfig"] = copy.deepcopy(dict(installation.mesh_config))
    if installation.revision:
        values["revision"] = installation.revision
    return deep_merge(values, installation.values)


def _gateway_values(gateway: InstalledGateway, installation: Installation) -> dict[str, Any]:
    service: dict[str, Any] = {
        "type": gateway.service_type,
        "ports": [
            {
                "name": port.name,
                "port": port.port,
                "targetPort": port.target_port or port.port,
                "protocol": port.protocol,
                **({"nodePort": port.node_port} if port.node_port else {}),
            }
            for port in gateway.ports
        ],
    }
    if gateway.service_annotations:
        service["annotations"] = dict(gateway.service_annotations)
    values: dict[str, Any] = {
        "serviceAccount": {"create": True, "name": gateway.service_account},
        "labels": {**gateway.labels, GATEWAY_MARK: "true"},
        "service": service,
        "autoscaling": {"enabled": not gateway.replicas},
    }
    if gateway.replicas:
        values["replicaCount"] = gateway.replicas
    else:
        values["autoscaling"].update(minReplicas=gateway.min_replicas, maxReplicas=gateway.max_replicas)
    if gateway.resources:
        values["resources"] = copy.deepcopy(dict(gateway.resources))
    if installation.revision:
        values["revision"] = installation.revision
    pull_policy = field(installation.values, "global", "imagePullPolicy")
    if pull_policy:
        values["imagePullPolicy"] = pull_policy
    return deep_merge(values, gateway.values)


def chart_reference(source: str, chart: str, version: str) -> ChartReference:
    """Where helm finds a chart.

    :param source: repository URL, ``oci://`` prefix (``oci://ghcr.io/istio/release/charts``), or directory.
    :raises InputError: when a directory does not hold the chart in this version.
    """
    if credentials_in(source):
        message = (
            "holds a login, which everybody on this machine could read in helm's command line: fetch the "
            "charts and name their directory"
        )
        raise InputError([Problem("istio_chart_source", message, "chart-source")])
    if source.startswith("oci://"):
        return ChartReference(f"{source.rstrip('/')}/{chart}", version=version)
    if _URL.fullmatch(source):
        return ChartReference(chart, repository=source, version=version)
    directory = at_home(source)
    if not directory.is_dir():
        raise InputError(
            [
                Problem(
                    "istio_chart_source",
                    f"{source!r} is no directory, http(s) URL or oci:// reference",
                    "chart-source",
                )
            ]
        )
    for place in _CHART_PLACES[chart]:
        candidate = directory / place.format(version=version)
        if candidate.is_file() or (candidate / "Chart.yaml").is_file():
            return ChartReference(str(candidate))
    raise InputError(
        [
            Problem(
                "istio_chart_source", f"{source} holds no chart {chart} of version {version}", "chart-source"
            )
        ]
    )
