#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane_ready
short_description: Wait until an Istio control plane is proved to work
version_added: 0.9.0
description:
  - Proves that istiod and the gateways are rolled out, Istio's CustomResourceDefinitions are Established, the
    webhooks carry a CA and validation fails closed, and every istiod pod answers.
  - Replaces C(istioctl verify-install), which no longer exists.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Looks once and reports instead of waiting; an absent control plane is V(cannot tell).
  diff_mode:
    support: none
    description: It changes nothing.
options:
  method:
    description: The tool that installed the control plane.
    type: str
    choices: [istioctl, helm]
    default: istioctl
  hub:
    description: Image hub; must not be empty.
    type: str
    default: docker.io/istio
  revision:
    description: Control plane revision. Empty is the default revision.
    type: str
    default: ''
  namespace:
    description: Namespace of the control plane.
    type: str
    default: istio-system
  gateways:
    description: Gateways as in M(servicemesh.istio.control_plane).
    type: list
    elements: dict
    default: [{name: istio-ingressgateway}]
  timeout:
    description: Seconds that the whole proof may take.
    type: raw
    default: 300
seealso:
  - module: servicemesh.istio.control_plane
"""

EXAMPLES = r"""
- name: Prove that the control plane works
  servicemesh.istio.control_plane_ready:
    timeout: 120
"""

RETURN = r"""
status:
  description: V(pass), or V(cannot tell) in check mode.
  returned: success
  type: str
  sample: pass
reason:
  description: Why the status is not V(pass).
  returned: success
  type: str
  sample: not installed
checks:
  description: What was proved, or what is late.
  returned: success
  type: list
  elements: str
  sample: ["Deployment istiod is rolled out", "9 CRDs are established"]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import (
    ready as control_plane_ready,
)


def main() -> None:
    run_module(control_plane_ready)


if __name__ == "__main__":
    main()
