#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_certificates
short_description: Keep valid certificates in the credentials of Istio gateways
version_added: 0.9.0
description:
  - Keeps one TLS Secret per gateway credential, in the namespace of the gateway's pods, where Istio looks
    for it.
  - Certificates are issued by a CA that lives in a Secret of its own, out of the gateways' reach. They are
    ECDSA
    P-256 or RSA, cover every host of the credential, and are renewed before they end. The CA is kept.
  - Every pair is judged before it is written (chain, key, dates, names, usage), written by one conditional
    request,
    and proved afterwards by a TLS handshake with every gateway pod for every host.
  - Keys exist in memory and in their Secrets only. Results, diffs and logs carry fingerprints, serials and
    dates.
author:
  - servicemesh.istio contributors (@servicemesh)
requirements:
  - cryptography >= 42
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Judges everything and sends dry-runs. A new key is thrown away, so its fingerprint is not
      told.
  diff_mode:
    support: full
    description: Shows fingerprints, dates and names; the Secret's data is hidden.
options:
  mesh:
    description: Name of the mesh, C(mesh_name). A Secret of another mesh is never touched.
    type: str
    required: true
  gateways:
    description:
      - C(mesh_gateways) of the catalogue. Each server with a C(certificate) names a credential and a C(host).
      - Only C(workload), C(workload_namespace), C(service_account) and the servers' C(host) and
        C(certificate) are read.
    type: list
    elements: dict
    required: true
  installed_gateways:
    description:
      - C(istio_gateways), from which O(gateways) take their defaults.
      - Without it, the one gateway C(istio-ingressgateway) in O(istio_namespace); an empty list means none.
    type: list
    elements: dict
  istio_namespace:
    description: C(istio_namespace), the namespace of gateways that name none.
    type: str
    default: istio-system
  ca_namespace:
    description:
      - Namespace of the CA's Secret. It is created when it is missing.
      - It must not be a gateway's namespace, because a gateway may list all Secrets of its own.
    type: str
    default: servicemesh-system
  ca_secret:
    description:
      - Name of the CA's Secret, of type C(kubernetes.io/tls).
      - A CA of your own can be put there before the first run, also an intermediate one with its chain in
        C(tls.crt).
    type: str
    default: servicemesh-ca
  ca_days:
    description: Validity of a new CA in days.
    type: int
    default: 3650
  replace_lost_ca:
    description:
      - Make a new CA where the old one is gone, expired or broken, and issue all certificates anew.
      - Every client has to trust the new CA then.
    type: bool
    default: false
  days:
    description: Validity of a new certificate in days, at most 398.
    type: int
    default: 90
  renew_at:
    description: Share of a certificate's life that may be left before it is renewed.
    type: float
    default: 0.34
  authority_beside_key:
    description:
      - Whether the CA's certificate is put beside the key as C(ca.crt).
      - On a gateway in mode MUTUAL this admits every client with a certificate of that CA.
    type: bool
    default: false
  provided:
    description: Certificates that come from elsewhere, for credentials that are then not issued here.
    type: list
    elements: dict
    default: []
    suboptions:
      name: &credential_name
        description: Name of the credential.
        type: str
        required: true
      namespace: &credential_namespace
        description: Its namespace. Required where several gateways have a credential of that name.
        type: str
      certificate:
        description: Certificate and intermediates as PEM, leaf first.
        type: str
        required: true
      private_key:
        description: Its private key as PEM, not encrypted.
        type: str
        required: true
      ca:
        description: CA certificates as PEM, in which the chain has to end. Without it the end is not judged.
        type: str
  requested:
    description:
      - Certificates that a company's CA issues on request, in two steps.
      - The first run makes a key and a request. The key stays in a Secret C(NAME-request) beside the
        credential; the request is returned (RV(certificates)). A second request is not made while one waits.
      - A later run takes O(requested[].certificate), checks that it is of this key, brings its chain into
        order, and rotates to it. When it is due, the next request is made.
    type: list
    elements: dict
    default: []
    suboptions:
      name: *credential_name
      namespace: *credential_namespace
      subject:
        description: Distinguished name in the request, such as V(CN=api.example.com,O=Example,C=DE).
        type: str
      certificate:
        description: What the CA answered, as PEM, in any order. Without it the request is made, or waits on.
        type: str
      ca:
        description: CA certificates as PEM, in which the chain has to end. Without it the end is not judged.
        type: str
  key_type:
    description: Type of the keys that are made here, V(ecdsa) P-256 or V(rsa) of 2048 bits. A change renews.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  client_cas:
    description:
      - The CAs by which gateways in mode MUTUAL know their clients, in a Secret C(NAME-cacert) that istiod
        takes before a C(ca.crt) beside the key.
      - Proved by handshakes with every pod. A client without a certificate and one of an unknown CA are
        turned away, and exactly these CAs are named.
    type: list
    elements: dict
    default: []
    suboptions:
      name: *credential_name
      namespace: *credential_namespace
      ca:
        description: CA certificates as PEM.
        type: str
        required: true
  client_ca_overlap:
    description:
      - Time for which a client CA that is replaced is accepted beside the new one. The first run after it
        takes it away; V(0) takes it away at once.
    type: raw
    default: 604800
  cert_manager:
    description:
      - Credentials, as V(NAME) or V(NAMESPACE/NAME), that a Certificate of cert-manager writes.
      - Where one is due, forced, or has missed its own time of renewal, cert-manager is told to renew it, as
        C(cmctl renew) does, and waited for. Its Secrets are never written.
    type: list
    elements: str
    default: []
  existing:
    description:
      - Credentials, as V(NAME) or V(NAMESPACE/NAME), whose Secrets somebody else writes.
      - They are judged and proved, never written.
    type: list
    elements: str
    default: []
  prove:
    description: Whether the served certificates are looked at.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that the gateways of one credential may take to serve its certificate.
      - A gateway whose pods are being replaced is waited for.
    type: raw
    default: 120
  overlap:
    description:
      - Time for which the previous pair is kept, in a Secret C(NAME-prev), after the new one was proved.
      - When the gateways do not take the new pair, the previous one is put back and proved. Where that is
        refused, it stays in C(NAME-prev), and the next run begins with it.
    type: raw
    default: 10
  force:
    description: Credentials that get a new pair now, as C(NAME) or C(NAMESPACE/NAME).
    type: list
    elements: str
    default: []
  revoke:
    description:
      - Credentials whose key has leaked, as C(NAME) or C(NAMESPACE/NAME). They get a new pair without overlap
        and without a way back.
      - Afterwards no Secret in their namespace may hold the old certificate.
    type: list
    elements: str
    default: []
  owner:
    description:
      - Name of the inventory, such as C(shop@production). It stands on each Secret that is written
        (annotation C(servicemesh.istio/applied-by)), and whoever has another name is refused when its run
        would change one whose renewal is neither due nor asked for.
    type: str
    default: ''
  take_over:
    description: Change credentials of another O(owner); they belong to this one from then on.
    type: bool
    default: false
  record:
    description: Write down when a run went well (annotation of a Lease), also when there was nothing to do.
    type: bool
    default: false
  fail_on:
    description: Verdicts that fail the task.
    type: list
    elements: str
    choices: [fail, cannot tell]
    default: [fail]
seealso:
  - module: servicemesh.istio.verify
"""

EXAMPLES = r"""
- name: Keep the gateways' certificates
  servicemesh.istio.gateway_certificates:
    mesh: shop
    gateways:
      - name: public
        workload_namespace: istio-system
        service_account: istio-ingressgateway-service-account
        servers:
          - host: api.example.com
            certificate: api-example-com
  register: certificates

- name: Save the CA for clients
  ansible.builtin.copy:
    content: "{{ certificates.ca.certificate }}"
    dest: ca.crt
    mode: "0644"
"""

RETURN = r"""
status:
  description: >-
    V(pass) when every gateway pod serves every certificate, V(fail) when one serves another or none,
    V(cannot tell) when no Gateway names a credential, or one of its hosts, yet, or nobody could look.
    A credential that was refused, or whose write failed, is a V(fail); the others are renewed all the same.
  returned: always
  type: str
  sample: pass
summary:
  description: The verdict and what goes with it, as lines to read.
  returned: always
  type: list
  elements: str
  sample: ["pass: 1 credentials, 1 created, 0 updated, 0 unchanged"]
outcome:
  description: >-
    For a scheduler; V(fresh) when nothing was to be done, V(renewed), V(due) when somebody else has to act (a
    request waits, or a pair that others write should have been renewed), or V(failed).
  returned: always
  type: str
  sample: fresh
reason:
  description: Why the status is not V(pass).
  returned: always
  type: str
  sample: no Gateway names the credential yet
counts:
  description: Numbers of credentials by action.
  returned: always
  type: dict
  sample: {credentials: 1, created: 0, updated: 0, requested: 0, unchanged: 1}
objects:
  description: What was written, or would be.
  returned: always
  type: list
  elements: dict
  sample: [{id: Secret istio-system/api-example-com, action: created}]
ca:
  description: The CA. C(certificate) is the PEM text that clients must trust; it is public.
  returned: when something is issued
  type: dict
  sample: {action: unchanged, certificate: "-----BEGIN CERTIFICATE-----..."}
certificates:
  description:
    - One entry per credential with its action and reasons, and C(fingerprint_sha256), C(serial),
      C(not_before),
      C(not_after), C(dns_names), C(subject) and C(issuer) of its certificate.
    - C(request) is the request (PEM) that waits for a company's CA, C(request_id) the Secret with its key.
    - C(clients) are the CAs of its clients, with C(authorities), C(action) and a C(proof) of their own.
    - C(proof) has C(status), C(method) (V(handshake), or V(proxy secret) where the pods cannot be reached
      from the
      controller), C(evidence) and the number of C(pods).
  returned: always
  type: list
  elements: dict
  sample: [{credential: istio-system/api-example-com, action: created, reasons: [missing]}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend as certificates,
)


def main() -> None:
    run_module(certificates)


if __name__ == "__main__":
    main()
