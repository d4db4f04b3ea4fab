#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane
short_description: Install an Istio control plane, or repair what differs from its manifest
version_added: 0.9.0
description:
  - Renders the manifest of the control plane with C(istioctl manifest generate) or C(helm template) and
    compares every object with the live one by a server-side dry run, leaving out what istiod itself writes.
  - With istioctl it then runs C(istioctl install) if, and only if, that would change something, and proves
    with the same comparison that nothing is left.
  - With Helm it repairs objects that differ although their release does not, and names the releases that
    M(servicemesh.istio.helm_release) has to install, upgrade or remove. Role C(istio) does both.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
  - servicemesh.istio.installation
attributes:
  check_mode:
    support: full
    description: The same comparison; nothing is written. Charts of a repository are still fetched.
  diff_mode:
    support: full
    description: Every object that differs, before and after.
options:
  allow_version_skew:
    description: Allow a change in place that goes down, or up by more than one minor.
    type: bool
    default: false
  owner:
    description:
      - Name of the inventory, such as its mesh. It stands on the Deployment of istiod (annotation
        C(servicemesh.istio/installed-by)), and whoever has another name is refused when its run would change
        the control plane.
    type: str
    default: ''
  take_over:
    description: Change what another O(owner) has installed; it belongs to this one from then on.
    type: bool
    default: false
  timeout:
    description: Seconds that istioctl may wait for each component.
    type: raw
    default: 300
  unlock_after:
    description: Seconds without a write after which an unfinished helm run counts as dead.
    type: raw
    default: 30
seealso:
  - module: servicemesh.istio.control_plane_ready
  - module: servicemesh.istio.preflight
"""

EXAMPLES = r"""
- name: Install Istio
  servicemesh.istio.control_plane:
    version: 1.31.1
    profile: default
    gateways:
      - name: istio-ingressgateway
        service_type: LoadBalancer
    mesh_config:
      accessLogFile: /dev/stdout
"""

RETURN = r"""
counts:
  description: Objects per action.
  returned: success
  type: dict
  sample: {create: 0, update: 1, delete: 0}
objects:
  description: The objects that were changed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample: [{id: ConfigMap istio-system/istio, action: update}]
notes:
  description:
    - What platforms and policies changed in the installed objects, and what is left as it is because they
      would change it again. A sentence for each of them.
  returned: success
  type: list
  elements: str
  sample: ["an autoscaler (keda-operator) keeps spec.replicas of Deployment mesh/istiod: left as it is"]
releases:
  description: Helm releases with what has to happen to each; empty with istioctl.
  returned: success
  type: list
  elements: dict
  sample: [{id: istio-system/istiod, name: istiod, namespace: istio-system, chart: istiod, action: keep}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import (
    backend as control_plane,
)


def main() -> None:
    run_module(control_plane)


if __name__ == "__main__":
    main()
