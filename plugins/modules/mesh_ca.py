#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_ca
short_description: Plug a CA into a mesh, and rotate it while the mesh runs
version_added: 0.9.0
description:
  - Plugs a CA into istiod (Secret C(cacerts)) before its first start; one that is provided, or an
    intermediate
    below a root of its own.
  - Changes the CA of a mesh that runs, be it istiod's own (C(istio-ca-secret)) or one that is plugged in,
    without
    a moment at which two proxies refuse each other. Both roots everywhere, then the new signer, then a
    certificate of it in every proxy, then the old root goes. Each step is written down in a journal in the
    cluster
    before it is taken, and proved in every proxy before the next.
  - Whoever runs it again after a kill goes on where the journal says, or goes back.
  - A proxy that cannot be asked stops the rotation. It is never taken for one that has arrived.
  - Keys exist in memory and in their Secrets only, or in the one file that was asked for. Results, diffs
    and logs
    carry fingerprints, serials and dates.
author:
  - servicemesh.istio contributors (@servicemesh)
requirements:
  - cryptography >= 42
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: >-
      Judges everything and asks every proxy. A new key is thrown away, so its fingerprint is not told.
  diff_mode:
    support: full
    description: Shows fingerprints, dates and names of signer and roots, never their PEM text or a key.
options:
  action:
    description:
      - V(present) plugs a CA in where none is; a mesh that has another one is refused.
      - V(rotate) leads a running mesh to the CA that is wanted, and finishes a rotation that has begun.
      - V(rollback) takes a rotation back that has not begun to drop the old root.
    type: str
    choices: [present, rotate, rollback]
    default: present
  source:
    description:
      - V(istiod) is left to istiod, which makes a CA itself; with O(action=present) nothing is done.
      - V(own) is an intermediate below a root that this module makes once and keeps.
      - V(provided) is O(certificate) with O(private_key).
    type: str
    choices: [istiod, own, provided]
    default: istiod
  mesh:
    description: Name of the mesh, C(mesh_name); it goes into names and labels.
    type: str
    default: ""
  istio_namespace:
    description: Namespace of istiod.
    type: str
    default: istio-system
  certificate:
    description: The CA's certificate, PEM. Its issuers may follow it.
    type: str
    default: ""
  private_key:
    description: Its key, PEM; ECDSA P-256 or P-384, or RSA of at least 2048 bits. Not encrypted.
    type: str
    default: ""
  chain:
    description: Certificates between the CA and its root, PEM.
    type: str
    default: ""
  roots:
    description:
      - What proxies are to trust, PEM. The CA's own root must be among them.
      - By default those of the other certificates that signed themselves.
    type: str
    default: ""
  ca_namespace:
    description: Namespace of the Secret with the own root. No gateway may read it, so not istiod's.
    type: str
    default: servicemesh-system
  root_secret:
    description: Name of that Secret.
    type: str
    default: servicemesh-mesh-root
  root_file:
    description:
      - Keeps the own root out of the cluster, in this file of mode 0600 with certificate and key. It is
        made once
        and never replaced; where it exists it is used, so several clusters may share a root.
      - On the host where the task runs.
    type: str
    default: ""
  root_days:
    description: Validity of a new own root, in days.
    type: int
    default: 3650
  days:
    description: Validity of a new intermediate below it, in days.
    type: int
    default: 730
  renew_at:
    description: Share of an intermediate's life that may be left before V(rotate) makes a new one.
    type: float
    default: 0.34
  renew:
    description:
      - With O(action=rotate), make a new V(intermediate) or a new V(root) although none is due.
      - For one run; each further run makes another one.
    type: str
    choices: ["", intermediate, root]
    default: ""
  restart:
    description:
      - Whether workloads are restarted whose proxies do not follow within O(patience). By the rules of module
        M(servicemesh.istio.injection), within PodDisruptionBudgets, gateways last.
      - Without it such proxies follow when they renew their certificate, at half of its life. The outcome is
        then V(waiting), and a later run goes on.
    type: bool
    default: true
  restart_anyway:
    description:
      - Patterns such as V(StatefulSet shop/*) of workloads that are restarted although that is an outage.
    type: list
    elements: str
    default: []
  batch:
    description: Workloads restarted at the same time.
    type: int
    default: 4
  patience:
    description: How long istiod and proxies have to follow by themselves, in each step.
    type: raw
    default: 120
  timeout:
    description: How long the restart of istiod may take, and of one batch of workloads.
    type: raw
    default: 600
seealso:
  - module: servicemesh.istio.trust_info
"""

EXAMPLES = r"""
- name: A CA of our own, its root out of the cluster
  servicemesh.istio.mesh_ca:
    mesh: shop
    source: own
    root_file: /secure/mesh-root.pem

- name: The company's CA, before istiod starts
  servicemesh.istio.mesh_ca:
    source: provided
    certificate: "{{ lookup('ansible.builtin.file', 'ca.pem') }}"
    private_key: "{{ vault_mesh_ca_key }}"
    roots: "{{ lookup('ansible.builtin.file', 'root.pem') }}"

- name: From istiod's own CA to ours, or on with a rotation that was interrupted
  servicemesh.istio.mesh_ca:
    action: rotate
    source: own
    mesh: shop
"""

RETURN = r"""
outcome:
  description: >-
    V(fresh) when nothing was to be done, V(plugged in), V(planned) in check mode, V(rotated), V(rolled
    back), or
    V(waiting) for proxies that renew their certificates by themselves.
  returned: always
  type: str
  sample: rotated
summary:
  description: The same as a sentence.
  returned: always
  type: str
  sample: every proxy works with the new CA, and none trusts the old root
stage:
  description: >-
    Where a rotation stands that goes on; V(old), V(both), V(switched) or V(new). Empty without one.
  returned: always
  type: str
  sample: both
stages:
  description: All stages of that rotation, in order.
  returned: always
  type: list
  elements: str
  sample: [old, both, switched, new]
begun:
  description: When that rotation began.
  returned: always
  type: str
  sample: "2026-11-29T04:00:00Z"
proxies:
  description: How many proxies were asked (C(total)), and which are C(late).
  returned: always
  type: dict
  sample: {total: 11, late: []}
signer:
  description:
    - C(fingerprint_sha256), C(serial), C(not_before), C(not_after), C(subject), C(issuer) and C(dns_names)
      of the
      certificate that istiod signs with.
  returned: always
  type: dict
  sample: {fingerprint_sha256: ba5f..., not_after: "2028-11-28T04:29:56Z"}
roots:
  description: The same of the roots that proxies trust.
  returned: always
  type: list
  elements: dict
  sample: [{fingerprint_sha256: 5625..., not_after: "2036-11-26T04:29:56Z"}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import backend as mesh_ca


def main() -> None:
    run_module(mesh_ca)


if __name__ == "__main__":
    main()
