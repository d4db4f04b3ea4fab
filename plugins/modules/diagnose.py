#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Tell why a call between two services gets what it gets
version_added: 0.1.0
description:
  - Follows one request through the proxies and says at every step what holds there. The pods of both ends,
    the route in the caller's proxy and the VirtualService behind it, clusters, endpoints and who was thrown
    out, how caller and callee secure the connection and the objects that decided it, what the live
    AuthorizationPolicies decide about the request at every pod of the callee, and what the catalogue allows.
  - Only reads. Nothing is sent to a service.
author: [servicemesh.istio contributors (@servicemesh)]
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: The module changes nothing.
  diff_mode:
    support: none
    description: The module changes nothing.
options:
  catalogue:
    description:
      - The C(mesh_*) variables of role C(mesh), and of role C(istio) those that say where istiod and the
        gateways are, C(istio_gateways), C(istio_namespace) and C(istio_revision).
    type: dict
    required: true
  source:
    description: The calling service, as C(name) or C(namespace/name).
    type: str
    required: true
  destination:
    description: The called service, as C(name) or C(namespace/name).
    type: str
    required: true
  method:
    description: Method of the request.
    type: str
    default: GET
  path:
    description: Path of the request, without query.
    type: str
    default: /
  port:
    description:
      - Port of the called service, by name or number. Empty for the one whose traffic is split between
        versions.
    type: str
    default: ""
seealso:
  - module: servicemesh.istio.verify
"""

EXAMPLES = r"""
- name: Why does the order service get 403
  servicemesh.istio.diagnose:
    catalogue: "{{ catalogue }}"
    source: order-service
    destination: payment-service
    method: POST
    path: /api/payments
"""

RETURN = r"""
status:
  description: V(pass) when nothing stands in the way, V(fail) when something does, else V(cannot tell).
  returned: success
  type: str
  sample: fail
cause:
  description: The first step that fails.
  returned: success
  type: str
  sample: "Pod shop/web-1: its proxy has no route for pay.shop.svc.cluster.local: Sidecar shop/web
    does not import it"
steps:
  description: What holds at every step, in the order of the request's way.
  returned: success
  type: list
  elements: dict
  sample: [{step: route, status: pass, subject: Pod shop/web-1, message: sends to cart}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend as diagnose


def main() -> None:
    run_module(diagnose)


if __name__ == "__main__":
    main()
