#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check inputs, tools, versions and rights before anything is written
version_added: 0.9.0
description:
  - Checks the installation, the mesh catalogue and the namespaces for injection without a cluster, then the
    tools, then reaches the API server, compares versions, and asks for every right that is needed.
  - All problems of the input are reported in one message. Nothing is ever written.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: none
    description: It never changes anything.
options:
  parts:
    description: The parts of the work whose needs are checked.
    type: list
    elements: str
    choices: [istio, injection, addons, certificates, mesh, verify]
    default: [istio, injection, addons, certificates, mesh, verify]
  istio:
    description: The installation, with the options of M(servicemesh.istio.control_plane).
    type: dict
    default: {}
  catalogue:
    description:
      - The mesh catalogue, that is the variables C(mesh_*). Where istiod and the gateways are it takes from
        O(istio), unless it says it itself in C(istio_gateways), C(istio_namespace) and C(istio_revision).
    type: dict
    default: {}
  injection_namespaces:
    description: Namespaces for injection, as in M(servicemesh.istio.injection).
    type: list
    elements: raw
    default: []
  owner:
    description:
      - Name of the inventory, as in M(servicemesh.istio.injection). Namespaces that another one labels are
        refused.
    type: str
    default: ''
  take_over:
    description: Whether their labels may be changed nevertheless.
    type: bool
    default: false
  addons:
    description: The choice of add-ons; C(enabled), C(sources), C(storage) and so on as in role C(addons).
    type: dict
    default: {}
  addons_namespace:
    description: Namespace of add-ons. By default that of the control plane.
    type: str
    default: ''
  istio_ca_source:
    description: C(istio_ca_source); a CA that is plugged in needs rights of its own.
    type: str
    default: istiod
  certificates_namespace:
    description: Namespace of the Secret that holds the CA.
    type: str
    default: servicemesh-system
  cert_manager:
    description: C(certificates_cert_manager), which needs rights of its own.
    type: list
    elements: str
    default: []
  istio_versions:
    description:
      - Rows that are added to the table of supported versions, or replace rows of it, by minor.
      - Each has C(kubernetes), the oldest and the newest supported minor, and perhaps C(end_of_life).
    type: dict
    default: {}
  allow_end_of_life:
    description: Whether an Istio minor that is no longer maintained is a warning instead of an error.
    type: bool
    default: true
  allow_untested_kubernetes:
    description: Whether a Kubernetes version outside the supported range is a warning instead of an error.
    type: bool
    default: false
  variables:
    description:
      - Variables that begin like those of a role, with their values. One that is not in O(variable_specs) but
        looks
        like one of them is a warning; a value that is not of its type is a problem.
      - Ansible itself ignores a misspelt variable in silence, and finds a bad value when the role's turn
        comes.
    type: dict
    default: {}
  variable_specs:
    description: The variables of all roles, with the options of their argument specifications.
    type: dict
    default: {}
  timeout:
    description: Seconds that all questions to the API server may take once it has answered.
    type: raw
    default: 60
seealso:
  - module: servicemesh.istio.control_plane
  - module: servicemesh.istio.verify
"""

EXAMPLES = r"""
- name: Check everything first
  servicemesh.istio.preflight:
    istio:
      method: helm
      version: 1.31.1
    injection_namespaces: [ecommerce]
"""

RETURN = r"""
cluster:
  description:
    - URL of the API server, and the UID of namespace C(kube-system), which stands for the cluster wherever it
      is reached from; empty without the right to read that namespace.
  returned: success
  type: dict
  sample: {server: "https://10.0.0.1:6443", uid: 5b1f3c2e-7d0a-4c57-9a53-0d1f2e3c4b5a}
versions:
  description: Istio and Kubernetes versions.
  returned: success
  type: dict
  sample: {istio: 1.31.1, kubernetes: v1.36.3}
tools:
  description: The programs that were found, with their versions.
  returned: success
  type: dict
  sample: {istioctl: 1.31.1}
rights:
  description: How many rights were needed.
  returned: success
  type: dict
  sample: {needed: 117, missing: 0}
missing_rights:
  description: Every right that is missing, when some are; the message shows the first ones only.
  returned: failure
  type: list
  elements: str
  sample: ["in shop: get, list on pods, deployments.apps"]
findings:
  description: Warnings.
  returned: success
  type: list
  elements: str
  sample: ["istio_verison: no role knows this variable, did you mean istio_version?"]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight import (
    backend as preflight,
)


def main() -> None:
    run_module(preflight)


if __name__ == "__main__":
    main()
