#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove that a mesh is what its catalogue says
version_added: 0.9.0
description:
  - Compares a catalogue with what the proxies hold and with what callers really get. Nothing is concluded
    from the mere existence of an object.
  - Every finding is V(pass), V(fail) or V(cannot tell), with its evidence. What could not be looked at is
    never reported as a pass.
  - Three notes are no verdict, V(stated opening) for what the catalogue opens on purpose, with its reason,
    V(beside the catalogue) for what belongs to others and touches nothing of it, and V(not tested) for what
    cannot be tested from here, with what would help.
  - The module itself does not fail because of a verdict; I(status) tells it. Role
    P(servicemesh.istio.verify#role) decides what fails the play.
  - Calls are sent from probe pods, which live for seconds. An injected probe runs with a caller's
    ServiceAccount and with a Sidecar of its own that hides nothing, so that a refusal is the server's.
    Probes are removed whatever happens, end by themselves after I(probe_lifetime), and what a killed run
    left behind is removed first.
author: [servicemesh.istio contributors (@servicemesh)]
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: partial
    description: Everything that only reads is checked.
    details: Checks that take a probe pod are V(cannot tell).
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
  namespaces:
    description:
      - Namespaces in which every pod must have a sidecar, besides those of the catalogue; names, or
        dictionaries as in
        M(servicemesh.istio.injection).
    type: list
    elements: raw
    default: []
  proxy_version:
    description: Image tag that every proxy must have. Empty for the version of the istiod of the proxy's
      revision.
    type: str
    default: ''
  checks:
    description:
      - Which checks to make.
      - V(injection), every pod has a sidecar of the right version. V(sync), every proxy is connected, has
        refused nothing and holds the policies that select it. V(mtls), the listeners demand client
        certificates as the catalogue wants, and the proxies serve good ones. V(plaintext), requests from
        outside the mesh are refused.
        V(authorization), per service a caller is let in and somebody else gets 403. V(policies), no
        AuthorizationPolicy opens a service to everyone. V(gateways), certificate, redirect and every
        exposed path. V(routes), every route leads to endpoints. V(objects), the catalogue's objects are as it
        computes them, and no object of anybody, in any namespace, acts on its workloads.
    type: list
    elements: str
    choices: [injection, policies, mtls, objects, plaintext, routes, gateways, authorization, sync]
    default: [injection, policies, mtls, objects, plaintext, routes, gateways, authorization, sync]
  unmeshed_pods:
    description: Pods that need no sidecar, as patterns of C(namespace/name).
    type: list
    elements: str
    default: []
  accepted_objects:
    description:
      - What is not the catalogue's and may act on its workloads, each with the reason. Keys are patterns of
        C(Kind namespace/name). What check V(objects) says of it is then a V(stated opening) with that reason.
    type: dict
    default: {}
  unsafe_methods:
    description: Whether a probe may send POST, PUT, PATCH or DELETE where a rule allows nothing else.
    type: bool
    default: false
  probe_image:
    description: Image of the probe pods. It needs a POSIX shell, C(sleep) and curl 7.52 or later.
    type: str
    default: docker.io/curlimages/curl:8.14.1
  probe_pull_secrets:
    description: Names of image pull Secrets in the services' namespaces.
    type: list
    elements: str
    default: []
  probe_start_timeout:
    description: Seconds that a probe may take to become ready.
    type: raw
    default: 60
  probe_lifetime:
    description: Seconds after which a probe ends by itself.
    type: raw
    default: 180
  call_timeout:
    description: Seconds that one call may take.
    type: raw
    default: 5
  gateway_ca:
    description: PEM certificates that issue the gateways' certificates.
    type: str
    default: ''
  gateway_ca_secret:
    description:
      - Secret whose C(tls.crt) issues the gateways' certificates, unless I(gateway_ca) is given.
      - Without either, C(ca.crt) of the credential's Secret is trusted, else the certificates of the
        system.
    type: dict
    suboptions:
      namespace:
        description: Its namespace.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
  gateway_addresses:
    description: Address or list of addresses by gateway, where they cannot be read from its Service.
    type: dict
    default: {}
  gateway_client_cert:
    description:
      - File (PEM) with a certificate for hosts of mode C(MUTUAL), on the machine where the module runs.
      - Without it such hosts are asked whether they refuse clients that show none. The rest is V(not tested).
    type: path
  gateway_client_key:
    description: File (PEM) with the key of I(gateway_client_cert), without a password.
    type: path
  max_proxies:
    description:
      - Above this number of proxies a sample is read, one of every workload first.
      - What hangs on a proxy that was not read is "cannot tell".
    type: int
    default: 2000
  report_path:
    description:
      - File for the findings, on the machine where the module runs.
      - By its ending C(.json), C(.xml) (JUnit), C(.sarif) or C(.html).
      - A JSON report that is there already is compared with, before it is replaced.
    type: str
  last_report:
    description:
      - JSON report of an earlier run to compare with, on the machine where the module runs.
      - Without it the JSON report that this run replaces is compared with, if there is one.
    type: str
seealso:
  - module: servicemesh.istio.diagnose
  - module: servicemesh.istio.resources
"""

EXAMPLES = r"""
- name: Prove the mesh
  servicemesh.istio.verify:
    catalogue:
      mesh_name: shop
      mesh_namespace: ecommerce
      mesh_gateways: "{{ mesh_gateways }}"
      mesh_services: "{{ mesh_services }}"
    gateway_ca: "{{ lookup('file', 'ca.pem') }}"
    report_path: build/verify.xml
  register: proof

- name: Look at listeners and policies only, without a probe
  servicemesh.istio.verify:
    catalogue: "{{ catalogue }}"
    checks: [mtls, policies]
"""

RETURN = r"""
status:
  description:
    - V(pass) when everything is proved, V(fail) when something is disproved, else V(cannot tell).
    - Of notes alone it is the note, V(stated opening) or V(not tested).
  returned: success
  type: str
  sample: pass
headline:
  description: One sentence whose first words are the verdict.
  returned: success
  type: str
  sample: "cannot tell: not installed"
checks:
  description: One record per check, with its title, its status and the number of findings by verdict or note.
  returned: success
  type: list
  elements: dict
  sample: [{check: mtls, title: the proxies' listeners demand mutual TLS, status: pass, pass: 8}]
ledger:
  description:
    - How much was proved, and at which level. I(callers) and I(rules) of the catalogue, stated and called;
      I(cells) (who may send what to which workload) in C(all), each counted at the highest level by which it
      was proved, C(called), C(at_the_proxies) or C(by_the_objects), or C(not_proved); I(not_called), why
      cells were not called; I(calls), by service, what it let in, refused with 403 or cut off;
      I(uncalled), the rules that nobody called; I(not_tested), by reason; I(strangers), by class of
      callers that must be refused, at how many services one of it was tried. Empty without Istio.
  returned: success
  type: dict
  sample: {callers: {stated: 9, called: 9}, rules: {stated: 28, called: 28},
           cells: {all: 437, called: 51, at_the_proxies: 386, by_the_objects: 0, not_proved: 0},
           not_called: {"nothing is known to listen on the ports that nobody names": 120},
           calls: {shop/cart: {let_in: 3, refused: 1, cut_off: 1}}, uncalled: [], not_tested: {},
           strangers: {"plaintext, without any identity": 8}}
changes:
  description:
    - What is not as in the last report; empty without one. I(since), its time; I(opened) and I(closed), cells
      that live policies let in against the catalogue; I(new) and I(gone), problems; I(rules_added) and
      I(rules_removed) of the catalogue; I(objects_changed), the objects that were written; I(other), of
      C(mesh) and C(cluster) what is another one.
  returned: success
  type: dict
  sample: {}
findings:
  description: All findings; of more than 500 only those that did not pass.
  returned: success
  type: list
  elements: dict
  sample: [{check: mtls, subject: "ecommerce/frontend:3000", verdict: pass,
            message: "only chains that demand a client certificate, in 2 of 2 proxies"}]
problems:
  description: Every finding that is neither a pass nor a note, as a line, the fails first.
  returned: success
  type: list
  elements: str
  sample: ["FAIL mtls: shop/cart:8080: the proxy of pod shop/cart-1 is PERMISSIVE, not STRICT"]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify


def main() -> None:
    run_module(verify)


if __name__ == "__main__":
    main()
