#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_info
short_description: Show what goes on in a mesh
version_added: 0.9.0
description:
  - Tells where the gateways can be reached, how to open the dashboards, which versions run, which rollouts
    run,
    how long certificates live, and what moves - requests, failures and latency per service and per call, the
    slowest calls, failures by Envoy's response flag, and what the sidecars cost.
  - Requests come from Istio's standard metrics in Prometheus, out of raw samples, so that the first failures
    of a
    new series count. A request is counted once. Of a service its own proxies count, and beside them what its
    callers' proxies ended because they found no way to it; of a call the caller's proxy counts.
  - Reads only. What could not be read stands under RV(untold) and is V(cannot tell) in its place, never 0.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
  - servicemesh.istio.prometheus
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Reads only.
options:
  catalogue:
    description: The mesh as data, variables C(mesh_*), C(istio_gateways) and C(istio_namespace).
    type: dict
    required: true
  show:
    description: What is looked at.
    type: list
    elements: str
    choices: [addresses, dashboards, versions, rollouts, certificates, traffic, overhead]
    default: [addresses, dashboards, versions, rollouts, certificates, traffic, overhead]
  window:
    description: How far back requests count, in seconds or as text such as V(5m); at least four scrapes.
    type: raw
    default: 300
  addons:
    description: C(addons_enabled). A dashboard on this list that is not there is told.
    type: list
    elements: str
    default: []
  addons_namespace:
    description: Namespace of the dashboards. Empty for that of istiod.
    type: str
    default: ""
  ca_namespace:
    description: Namespace of the CA that role C(certificates) keeps.
    type: str
    default: servicemesh-system
  ca_secret:
    description: Name of that CA's Secret.
    type: str
    default: servicemesh-ca
  max_proxies:
    description: How many proxies are asked for their certificates at most.
    type: int
    default: 2000
  top:
    description:
      - How many entries the long lists of the result have, and the tables of RV(lines). Reports have all.
    type: int
    default: 10
  report_path:
    description:
      - Files for the whole answer - V(.json), or V(.html) for a page with the mesh's graph.
      - Written where the task runs.
    type: list
    elements: str
    default: []
  dashboard_path:
    description:
      - File (V(.json)) for a dashboard of Grafana, made of the catalogue - services, calls and versions with
        their requests, failures and latency, certificates, and rollouts as annotations.
      - Its queries have the matchers and replica labels of O(prometheus). Empty for none.
      - Written where the task runs.
    type: str
    default: ""
seealso:
  - module: servicemesh.istio.trust_info
  - module: servicemesh.istio.canary_info
  - module: servicemesh.istio.diagnose
"""

EXAMPLES = r"""
- name: What goes on
  servicemesh.istio.mesh_info:
    catalogue: "{{ catalogue }}"
    prometheus: {namespace: istio-system, service: prometheus}
    window: 15m
    report_path: [/srv/reports/mesh.html]
  register: mesh

- name: A dashboard for Grafana
  servicemesh.istio.mesh_info:
    catalogue: "{{ catalogue }}"
    prometheus: {namespace: istio-system, service: prometheus}
    show: [rollouts]
    dashboard_path: /srv/dashboards/mesh.json

- name: Only the addresses
  servicemesh.istio.mesh_info:
    catalogue: "{{ catalogue }}"
    show: [addresses]
"""

RETURN = r"""
status:
  description: V(pass), or V(cannot tell) when something that was asked for could not be read.
  returned: success
  type: str
  sample: pass
headline:
  description: How much moves, how much of it fails, and what could not be told, in one sentence.
  returned: success
  type: str
  sample: "41.2 requests/s into 8 services, 0.0 % failed; certificates pass"
untold:
  description: What could not be told, each with C(part) and C(reason).
  returned: success
  type: list
  elements: dict
  sample: [{part: overhead, reason: the metrics API is not served}]
lines:
  description: The answer for people.
  returned: success
  type: list
  elements: str
  sample: ["mesh shop: 41.2 requests/s into 8 services, 0.0 % failed"]
addresses:
  description: One entry per Service that leads to a gateway's pods.
  returned: when V(addresses) is in O(show)
  type: list
  elements: dict
  contains:
    gateway:
      description: Namespace and name of the gateway.
      type: str
      sample: istio-system/istio-ingressgateway
    service:
      description: Namespace and name of the Service.
      type: str
      sample: istio-system/istio-ingressgateway
    type:
      description: Type of the Service.
      type: str
      sample: LoadBalancer
    ips:
      description: Addresses of its load balancer. Beside it C(hostnames), C(external_ips) and C(cluster_ips).
      type: list
      elements: str
      sample: [203.0.113.7]
    nodes:
      description: Addresses of nodes with a pod of the gateway, when the Service has node ports.
      type: list
      elements: str
      sample: [192.0.2.5]
    ports:
      description: Its ports, C(name), C(port), C(protocol) and C(node_port).
      type: list
      elements: dict
      sample: [{name: https, port: 443, protocol: TCP, node_port: 31443}]
    calls:
      description:
        - How to call each host - C(host), C(url), C(address), and commands to run in this order, empty where
          they
          are not needed. C(ca) saves the CA, C(forward) leads a local port to the gateway and runs until it
          is
          ended, C(curl) calls.
      type: list
      elements: dict
      sample:
        [{host: api.example.com, url: "https://api.example.com/", address: "203.0.113.7:443", ca: "",
        forward: "", curl: "curl --connect-to api.example.com:443:203.0.113.7:443
        https://api.example.com/"}]
dashboards:
  description:
    - Dashboards with C(name), C(service), the C(command) that leads a local port to it, and the C(url).
  returned: when V(dashboards) is in O(show)
  type: list
  elements: dict
  sample:
    [{name: kiali, service: istio-system/kiali, command: kubectl -n istio-system port-forward service/kiali
    20001:20001, url: "http://localhost:20001/kiali"}]
versions:
  description:
    - C(control_plane) and C(proxies) by version and revision; C(behind) says whether istiod has another.
  returned: when V(versions) is in O(show)
  type: dict
  sample:
    {control_plane: [{revision: default, version: 1.31.1, pods: 2}], proxies: [{version: 1.31.1, revision:
    default, count: 40, behind: false, example: shop/web-1}]}
rollouts:
  description: C(active), services whose rollout has not ended, and C(lines), one per service with versions.
  returned: when V(rollouts) is in O(show)
  type: dict
  sample: {active: [shop/product-service], lines: ["shop/product-service: v1 stable; v1 90 %, v2 10 %"]}
certificates:
  description:
    - C(status), C(headline), C(counts) and C(soonest), as M(servicemesh.istio.trust_info) returns them.
  returned: when V(certificates) is in O(show)
  type: dict
  sample: {status: pass, headline: "pass: 28 certificates", counts: {pass: 28}, soonest: []}
overhead:
  description: What the proxies use - C(proxies), C(cpu) in cores, C(memory) in bytes, and their shares.
  returned: when V(overhead) is in O(show) and somebody measures it
  type: dict
  sample: {proxies: 11, cpu: 0.041, memory: 620756992, cpu_share: 0.12, memory_share: 0.2}
traffic:
  description: What moves.
  returned: when V(traffic) is in O(show) and Prometheus tells it
  type: dict
  contains:
    seconds:
      description: What the samples span.
      type: float
      sample: 285.0
    services:
      description:
        - The services, those with most failures first - C(service), C(requests), C(rate), C(error_share) (0
          to 1),
          C(p50_ms), C(p95_ms), C(p99_ms), and C(saturation) with the shares of the limits of C(cpu) and
          C(memory).
      type: list
      elements: dict
      sample:
        [{service: shop/api, requests: 2850, rate: 10.0, error_share: 0.002, p50_ms: 4.1, p95_ms: 9.0,
        p99_ms: 21.0, saturation: {cpu: 0.31, memory: cannot tell}}]
    edges:
      description:
        - The calls, likewise, with C(source), C(destination) and C(mtls) (V(yes), V(no) or V(cannot tell)).
      type: list
      elements: dict
      sample:
        [{source: shop/web, destination: shop/api, mtls: "yes", requests: 2850, rate: 10.0, error_share:
        0.002, p50_ms: 5.0, p95_ms: 11.0, p99_ms: 25.0}]
    slowest:
      description: The calls whose C(p99_ms) is largest.
      type: list
      elements: dict
      sample:
        [{source: shop/web, destination: shop/api, mtls: "yes", requests: 2850, rate: 10.0, error_share:
        0.002, p50_ms: 5.0, p95_ms: 11.0, p99_ms: 25.0}]
    flags:
      description: Requests by Envoy's response flag - C(flag), C(requests), C(means) and C(edges).
      type: list
      elements: dict
      sample:
        [{flag: UF, requests: 3, means: "UF (UpstreamConnectionFailure): no connection to the server",
        edges: [shop/web -> shop/api]}]
    idle:
      description: Services without requests whose proxies are scraped.
      type: list
      elements: str
      sample: [shop/mail]
    dark:
      description: Services of which nobody knows, because their proxies are not scraped.
      type: list
      elements: str
      sample: []
    counts:
      description: How many services, edges, idle and dark ones there are, also where lists are cut.
      type: dict
      sample: {services: 8, edges: 11, idle: 1, dark: 0}
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.observe import backend as observe


def main() -> None:
    """Runs the backend."""
    run_module(observe)


if __name__ == "__main__":
    main()
