# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that describe one Istio control plane."""

from __future__ import annotations


class ModuleDocFragment:
    """Their spec is ``module_utils/operations/control_plane/options.py``."""

    DOCUMENTATION = r"""
options:
  method:
    description: The tool that installs.
    type: str
    choices: [istioctl, helm]
    default: istioctl
  version:
    description: Istio version, a stable release. istioctl must be of exactly this version.
    type: str
    default: 1.31.1
  hub:
    description: Image hub. Never empty, because some releases carry a hub that is no longer served.
    type: str
    default: docker.io/istio
  tag:
    description: Image tag. By default the version.
    type: str
    default: ''
  profile:
    description: Profile of istioctl, or of the Helm charts.
    type: str
    default: default
  revision:
    description: Control plane revision, a DNS label. Empty is the default revision.
    type: str
    default: ''
  default_revision:
    description: The revision that validates unlabelled configuration (chart C(base)). By default O(revision).
    type: str
    default: ''
  namespace:
    description: Namespace of the control plane.
    type: str
    default: istio-system
  mesh_config:
    description: C(meshConfig).
    type: dict
    default: {}
  extension_providers:
    description: Added to C(meshConfig.extensionProviders). Names are unique.
    type: list
    elements: dict
    default: []
  values:
    description: Helm values, merged over everything but O(operator_spec). With istioctl they are C(spec.values).
    type: dict
    default: {}
  operator_spec:
    description: C(spec) of the IstioOperator file, merged last. Only for istioctl.
    type: dict
    default: {}
  gateways:
    description:
      - Gateways with C(name), C(namespace), C(service_account), C(labels), C(egress), C(service_type), C(ports),
        C(replicas), C(min_replicas), C(max_replicas), C(resources), C(service_annotations) and C(values).
      - Only the name is required. The service account is C(<name>-service-account) and the label C(istio) is the
        name without C(istio-), with both methods.
    type: list
    elements: dict
    default: [{name: istio-ingressgateway}]
  istioctl_path:
    description: Path of istioctl, or its name on E(PATH).
    type: str
    default: istioctl
  helm_binary:
    description: Path of helm, or its name on E(PATH).
    type: str
    default: helm
  chart_source:
    description: Repository URL, C(oci://) reference, or directory that holds the charts base, istiod and gateway.
    type: str
    default: https://blob.istio.io/istio-release/charts
  chart_cache:
    description:
      - Directory where charts of a repository are kept, once per version. Empty is C(servicemesh.istio/charts) in the
        user's cache directory.
    type: str
    default: ''
  chart_checksums:
    description:
      - sha256 of packaged charts, by the chart's name (base, istiod, gateway). They are compared at every use, before
        anything is rendered. By default none is.
    type: dict
    default: {}
"""
