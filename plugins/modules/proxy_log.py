#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_log
short_description: Log one workload's requests for a while
version_added: 0.9.0
description:
  - Switches the access log of one workload's proxies on, or their own log to another level, waits, reads what
    they
    wrote, and switches both off again, whatever happens meanwhile.
  - The access log is switched on by a Telemetry of its own that selects the workload. What is to be taken
    back
    stands in a Lease of the namespace before anything is switched, so that the next run takes back what a run
    that
    was killed has left. Without O(workload) a run does nothing but that.
  - A Telemetry changes the proxies' listeners. Connections that last longer than Istio's drain time may be
    closed
    once when it comes, and once when it goes. The levels change nothing of the kind.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Says what would be taken back. Nothing is switched, so nothing is read.
  diff_mode:
    support: none
    description: Nothing stays changed.
options:
  catalogue:
    description: The mesh as data, variables C(mesh_*), C(istio_gateways) and C(istio_namespace).
    type: dict
    required: true
  workload:
    description: A service of the catalogue or a gateway, by C(name) or C(namespace/name).
    type: str
    default: ""
  seconds:
    description: How long, in seconds or as text such as V(2m); an hour at most.
    type: raw
    default: 30
  access_log:
    description: Whether the access log is switched on.
    type: bool
    default: true
  level:
    description:
      - Level of the proxies' own log meanwhile, such as V(debug), or of some of its loggers, such as
        V(rbac:debug,http:debug). Empty leaves them.
    type: str
    default: ""
  lines:
    description: How many lines the result holds of each kind, requests that went wrong first.
    type: int
    default: 20
  path:
    description: File for the whole log, for its owner alone. Empty for none.
    type: str
    default: ""
seealso:
  - module: servicemesh.istio.mesh_info
  - module: servicemesh.istio.diagnose
"""

EXAMPLES = r"""
- name: What does the order service answer
  servicemesh.istio.proxy_log:
    catalogue: "{{ catalogue }}"
    workload: order-service
    seconds: 1m

- name: Why is a request refused
  servicemesh.istio.proxy_log:
    catalogue: "{{ catalogue }}"
    workload: shop/payment-service
    level: rbac:debug
    path: /tmp/payment.log

- name: Switch off what a run that was killed has left
  servicemesh.istio.proxy_log:
    catalogue: "{{ catalogue }}"
"""

RETURN = r"""
restored:
  description: What an earlier run had left switched on, and what was done about it.
  returned: success
  type: list
  elements: str
  sample: ["shop/web was left logging by a run that did not end: Telemetry shop/proxy-log-web removed"]
untold:
  description: Where nobody could look whether something was left, and why.
  returned: success
  type: list
  elements: str
  sample: []
log:
  description: What was logged.
  returned: with O(workload), but for check mode
  type: dict
  contains:
    workload:
      description: Namespace and name.
      type: str
      sample: shop/order-service
    pods:
      description: The pods whose proxies were read.
      type: list
      elements: str
      sample: [order-service-6c-1]
    seconds:
      description: How long it was on.
      type: float
      sample: 30.0
    requests:
      description: Requests, and connections of streams, that began meanwhile.
      type: int
      sample: 43
    bad:
      description: Those with a flag, a status from 500 on, or refused by a policy.
      type: int
      sample: 1
    codes:
      description: Requests by status.
      type: dict
      sample: {"200": 42, "503": 1}
    flags:
      description: Requests by Envoy's response flag, with C(flag), C(requests) and C(means).
      type: list
      elements: dict
      sample: [{flag: UF, requests: 1, means: "UF (UpstreamConnectionFailure): no connection to the server"}]
    lines:
      description: Requests in words, those that went wrong first.
      type: list
      elements: str
      sample: ["order-service-6c-1: in 200 GET order-service:3000/api/orders 4 ms"]
    proxy_lines:
      description: The last lines of the proxies' own log.
      type: list
      elements: str
      sample: ["order-service-6c-1: 2026-11-29T08:00:00Z debug envoy rbac enforced allowed"]
    unread:
      description: Pods whose log could not be read, or not to its end, and why.
      type: dict
      sample: {}
lines:
  description: The same for people.
  returned: success
  type: list
  elements: str
  sample: ["order-service-6c-1: in 200 GET order-service:3000/api/orders 4 ms"]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.proxy_log import (
    backend as proxy_log,
)


def main() -> None:
    """Runs the backend."""
    run_module(proxy_log)


if __name__ == "__main__":
    main()
