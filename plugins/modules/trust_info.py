#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: trust_info
short_description: Find every certificate that can end a mesh, and how long each lives
version_added: 0.9.0
description:
  - Looks at the gateways' credentials (Secret and what the pods serve), the CA of these, the mesh's own CA
    and roots in every PEM block, istiod's serving certificate and the webhooks' CA bundles, the proxies'
    certificates, kubeconfigs of remote clusters, credentials of DestinationRules, the kubeconfig of this
    run, and the nodes' clocks.
  - Tells what has ended, what ends soon, broken chains, certificates that outlive their issuer, names that
    are not covered, keys that do not belong, and bundles that do not fit.
  - Reads only. What may not be read is V(cannot tell), never a pass.
author:
  - servicemesh.istio contributors (@servicemesh)
requirements:
  - cryptography >= 42
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Reads only.
options:
  mesh:
    description: Name of the mesh, C(mesh_name); the title of the reports.
    type: str
    required: true
  gateways:
    description:
      - C(mesh_gateways) of the catalogue. Their credentials are expected even where no Gateway names them
        yet.
    type: list
    elements: dict
    default: []
  installed_gateways:
    description: C(istio_gateways), from which O(gateways) take their defaults.
    type: list
    elements: dict
  istio_namespace:
    description: Namespace of istiod.
    type: str
    default: istio-system
  ca_namespace:
    description: Namespace of the CA that role C(certificates) keeps.
    type: str
    default: servicemesh-system
  ca_secret:
    description: Name of that CA's Secret.
    type: str
    default: servicemesh-ca
  limits:
    description:
      - Shares of a certificate's life, by kind; with less than C(due) left it is V(due), with less than
        C(fail) it is V(fail). Kinds are those of RV(findings[].kind).
      - Without an entry a third and a sixth.
    type: dict
    default: {}
  max_proxies:
    description: How many proxies are asked at most. Those that were not make the verdict V(cannot tell).
    type: int
    default: 2000
  rotation_period:
    description:
      - Time between two scheduled runs of role C(certificates) with C(certificates_record).
      - When the last one that went well is older than two periods, that is V(fail). V(0) where none are
        scheduled.
    type: raw
    default: 0
  mesh_ca_limit:
    description:
      - How long a rotation of the mesh's CA (module M(servicemesh.istio.mesh_ca)) may take. One that is under
        way is V(due), one that is older is V(fail).
    type: raw
    default: 259200
  report_path:
    description:
      - Files for the whole result - V(.json), V(.xml) (JUnit), V(.prom) (textfile for Prometheus) or
        V(.html).
      - Written where the task runs.
    type: list
    elements: str
    default: []
  fail_on:
    description: Verdicts that make the task fail.
    type: list
    elements: str
    choices: [fail, cannot tell, due]
    default: [fail]
seealso:
  - module: servicemesh.istio.gateway_certificates
"""

EXAMPLES = r"""
- name: Nothing ends unseen
  servicemesh.istio.trust_info:
    mesh: "{{ mesh_name }}"
    gateways: "{{ mesh_gateways }}"
    report_path: [/var/lib/node_exporter/trust.prom, /srv/reports/trust.html]
    fail_on: [fail, due]

- name: A root of ten years is due in its last one
  servicemesh.istio.trust_info:
    mesh: shop
    limits:
      mesh root: {due: 0.1, fail: 0.05}
"""

RETURN = r"""
status:
  description: The worst verdict; V(pass), V(due), V(cannot tell) or V(fail).
  returned: always
  type: str
  sample: due
headline:
  description: The first thing to do, or what ends first, in one sentence.
  returned: always
  type: str
  sample: "pass: 28 certificates; the first to end is istio-system/ReplicaSet/gw-5d6 in 0.9 days (28 pass)"
counts:
  description: How many of each verdict.
  returned: always
  type: dict
  sample: {fail: 0, cannot tell: 0, due: 1, pass: 27}
findings:
  description: Everything that is no pass, the worst first.
  returned: always
  type: list
  elements: dict
  contains: &entry
    kind:
      description: >-
        V(gateway), V(gateway CA), V(client CA), V(mesh CA), V(mesh root), V(istiod), V(workload), V(webhook),
        V(remote cluster), V(origination), V(connection), V(clock) or V(rotation).
      type: str
      sample: gateway
    where:
      description: The object that holds it, or who uses it.
      type: str
      sample: Secret istio-system/api-example-com
    part:
      description: Which block of it.
      type: str
      sample: leaf
    verdict:
      description: V(fail), V(cannot tell), V(due) or V(pass).
      type: str
      sample: due
    reasons:
      description: Why, each with a short C(rule) and a C(message).
      type: list
      elements: dict
      sample: [{rule: missing, message: "does not exist; the catalogue names it"}]
    not_after:
      description: When it ends, where dates are known; beside it C(not_before), C(days_left), C(share_left),
        C(subject), C(issuer), C(serial) and C(fingerprint_sha256).
      type: str
      sample: "2026-12-24T00:00:00Z"
soonest:
  description: The ten certificates that end first.
  returned: always
  type: list
  elements: dict
  contains: *entry
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust import backend


def main() -> None:
    """Runs the backend."""
    run_module(backend)


if __name__ == "__main__":
    main()
