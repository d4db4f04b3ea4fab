#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: addons
short_description: Keep the add-ons of a mesh
version_added: 0.9.0
description:
  - Applies the manifests of every add-on on the list by server-side apply, removes what earlier runs
    installed and the list no longer contains, and waits until the workloads are rolled out.
  - Objects carry the labels C(app.kubernetes.io/part-of=servicemesh-addons) and C(servicemesh.istio/addon).
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: A server-side dry run; nothing is written.
  diff_mode:
    support: full
    description: Every object that differs, before and after.
options:
  addons:
    description:
      - All add-ons that shall be there. An empty list removes every one.
      - Of what leaves the list, only objects of the kinds that Istio's own add-ons consist of are removed,
        in the namespaces that O(namespace) and the remaining objects name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the add-on.
        type: str
        required: true
      path:
        description: A manifest, or a directory of manifests.
        type: path
        required: true
  namespace:
    description: Namespace of objects that name none.
    type: str
    default: istio-system
  images:
    description:
      - Images to pull instead, by exact image or by prefix (V(docker.io/grafana), V(prom/prometheus)).
      - The longest key that fits wins; a prefix keeps the rest of the image and its tag.
    type: dict
    default: {}
  as_released:
    description:
      - Names of add-ons that stay as their source has them. Of all others, what Istio's samples do for a
        demonstration is changed. Grafana lets nobody in without the password in Secret C(grafana-admin),
        Kiali asks for a token and has a signing key of its own (Secret C(kiali-signing-key)) and the
        addresses of the add-ons beside it, and containers without resources get requests.
      - Both Secrets are made once, with random values, and removed with their add-on.
    type: list
    elements: str
    default: []
  retention:
    description: Add-on to how long its Prometheus keeps samples, such as C(prometheus) to V(15d).
    type: dict
    default: {}
  storage:
    description:
      - Add-on to the size of a volume in the place of the one that ends with its pod. The claim stays when
        the add-on leaves the list.
    type: dict
    default: {}
  resources:
    description: Add-on to C(requests) and C(limits) of its containers, in the place of their own.
    type: dict
    default: {}
  urls:
    description:
      - Add-on to where people reach it, C(grafana) or C(kiali), which ask who somebody is. C(host),
        C(certificate) (a credential in the namespace of the gateway's pods) and C(selector) (their labels, by
        default C(istio=ingressgateway)). A Gateway with that host, a redirect from HTTP and a route are made,
        and the add-on is told of its URL.
    type: dict
    default: {}
  network_policies:
    description:
      - Add-on to a list of peers, as in a NetworkPolicy (C(ipBlock), C(namespaceSelector), C(podSelector)).
        An add-on with an entry takes connections of these alone, of its own namespace, of the gateway of its
        URL, and, as Jaeger, traces of all namespaces. Whoever asks it through the API server (playbooks
        canary and observe ask Prometheus so) has to be among the peers.
    type: dict
    default: {}
  dashboards:
    description: JSON files of dashboards, which stand in folder C(own) of Grafana.
    type: list
    elements: path
    default: []
  owner:
    description:
      - Name of the inventory, such as C(shop@production). It stands on the objects (annotation
        C(servicemesh.istio/applied-by)). What another one has applied is not removed, and whoever would
        change it is refused.
    type: str
    default: ''
  take_over:
    description: Change and remove what another O(owner) has applied; it belongs to this one from then on.
    type: bool
    default: false
  timeout:
    description: Seconds that all workloads together may take to roll out.
    type: raw
    default: 300
seealso:
  - module: servicemesh.istio.download
  - module: servicemesh.istio.resources
"""

EXAMPLES = r"""
- name: Keep Prometheus only
  servicemesh.istio.addons:
    addons:
      - name: prometheus
        path: /srv/istio-1.31.1/samples/addons/prometheus.yaml
    images:
      prom: registry.example.com/prom
"""

RETURN = r"""
addons:
  description: The add-ons on the list.
  returned: success
  type: list
  elements: str
  sample: [prometheus]
images:
  description: Every image that the add-ons use.
  returned: success
  type: list
  elements: str
  sample: [docker.io/prom/prometheus:v3.5.0]
objects:
  description: The objects that were changed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample: [{id: Deployment istio-system/prometheus, action: updated}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import addons


def main() -> None:
    run_module(addons)


if __name__ == "__main__":
    main()
