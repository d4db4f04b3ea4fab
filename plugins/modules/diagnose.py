#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Tell why something in a mesh does not work
version_added: 0.9.0
description:
  - From any symptom (a caller and a callee, a service, a host with a path, a pod, or nothing) to ranked
    causes, each with its evidence, the object at fault, and the command or the line of the catalogue that
    mends it.
  - Looks at injection, routing, mutual TLS and authorization, gateways, hosts outside, latency, the control
    plane and DNS. Asks the API server, istiod, the proxies of both ends, and their access logs.
  - Of a call between two services of the catalogue, every step of its way is told besides.
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
    description:
      - The caller, as C(name) or C(namespace/name) of a Service, a workload or a pod. It need not be in the
        catalogue.
    type: str
    default: ""
  destination:
    description: The called Service, as C(name) or C(namespace/name). It need not be in the catalogue.
    type: str
    default: ""
  hostname:
    description:
      - The host that is called, as callers write it, in the place of O(destination). One of a gateway, of the
        mesh, or outside.
    type: str
    default: ""
  pod:
    description: The pod that does not do well, as C(name) or C(namespace/name).
    type: str
    default: ""
  namespace:
    description:
      - Namespace of names without one. Alone, the only one that is looked at. Empty for C(mesh_namespace),
        and for the whole mesh.
    type: str
    default: ""
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
      - Port of the called service, by name or number. Empty for any; in the steps, for the one whose traffic
        is split between versions.
    type: str
    default: ""
  istioctl_path:
    description:
      - An istioctl whose C(analyze) is asked too. Its messages stand beside the causes of their objects, and
        its errors about others are causes. It needs the rights to list and watch everything. Empty for none.
    type: str
    default: ""
  bundle_path:
    description:
      - JSON file for everything that was looked at, without secrets, for whoever helps. Written where the
        module runs, also in check mode; its directory must exist. Empty for none.
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

- name: Why does nobody get to this host
  servicemesh.istio.diagnose:
    catalogue: "{{ catalogue }}"
    hostname: api.example.com
    path: /api

- name: What is wrong at all
  servicemesh.istio.diagnose:
    catalogue: "{{ catalogue }}"
"""

RETURN = r"""
status:
  description:
    - V(fail) with a cause that is at least likely, V(pass) when nothing was found and everything could be
      looked at, else V(cannot tell).
  returned: success
  type: str
  sample: fail
cause:
  description: The first cause, with its object. Empty when there is none that is likely.
  returned: success
  type: str
  sample: "Sidecar shop/web: decides for Pod shop/web-1 and does not import shop/pay.shop.svc.cluster.local:
    its proxy has no route there"
causes:
  description: All causes, the likeliest first.
  returned: success
  type: list
  elements: dict
  contains:
    rank:
      description: From 1.
      type: int
    family:
      description:
        - V(injection), V(routing), V(security), V(gateway), V(egress), V(latency), V(control plane) or
          V(dns).
      type: str
    object:
      description: The object at fault, C(Kind namespace/name); C(host NAME) for one that no object describes.
      type: str
    cause:
      description: What is wrong with it.
      type: str
    likelihood:
      description: V(sure), V(likely) or V(possible). What is possible is told only about a symptom.
      type: str
    evidence:
      description: What shows it besides.
      type: list
      elements: str
    remedy:
      description: The command, or the line of the catalogue, that mends it.
      type: str
  sample: [{rank: 1, family: routing, object: VirtualService shop/web, cause: sends to subset v9 of web,
            likelihood: sure, evidence: [], remedy: kubectl edit virtualservice web -n shop}]
unknown:
  description: What could not be looked at, C(family), C(what) and C(why).
  returned: success
  type: list
  elements: dict
  sample: [{family: gateway, what: credentials of gateways, why: "Secret: forbidden"}]
steps:
  description: Of a call between two services of the catalogue, what holds at every step, in its order.
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
