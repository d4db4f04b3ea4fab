#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: resources
short_description: Apply Kubernetes objects, or a whole mesh, in one task and with proof
version_added: 0.9.0
description:
  - Makes objects exist as described, or not exist, by server-side apply.
  - Objects that are as they should be cost no request of their own. One LIST per kind is compared with the
    fields that this field manager owns; only what differs is sent.
  - Istio objects are written in three steps, so that running calls lose nothing. First the state that serves
    old and new callers alike, then the routes, then the final, narrower state and the deletions. Loosening
    comes first, tightening last.
  - With O(catalogue) the objects of a mesh are computed here, from the catalogue and the release records in
    the cluster, and between the steps it is proved that the proxies hold them.
  - Check mode asks the API server (dry-run) and predicts exactly what the run then does.
options:
  catalogue:
    description:
      - The mesh as data, a mapping with the C(mesh_*) keys of role P(servicemesh.istio.mesh#role), and with
        C(istio_gateways) and C(istio_namespace), from which gateways take their defaults.
    type: raw
  catalogue_src:
    description:
      - Files with such mappings; keys of several files are put together, each key may occur once.
      - Large catalogues are better files than variables. Ansible needs seconds to template large variables.
    type: list
    elements: path
  definition:
    description: Objects, as a mapping, a list of mappings, or text with YAML or JSON documents.
    type: raw
    aliases: [resource_definition, inline]
  src:
    description:
      - Files with YAML or JSON documents, directories, globs, or directories with a kustomization.
      - They are read as Kubernetes reads them (V(1e3) is 1000, V(yes) and V(y) are true), or refused with
        file and line. Refused are duplicate keys, keys that Kubernetes would rewrite (such as V(on)), tags
        beyond those of JSON's types, and numbers of more than 64 bits.
      - They are searched as M(ansible.builtin.copy) does, below C(files) of the role or playbook, and read on
        the controller wherever the task runs.
      - A kustomization needs C(kustomize) or C(kubectl) where it is read.
    type: list
    elements: path
  template:
    description:
      - Files with Jinja, rendered on the controller with the variables of the task, wherever the task runs.
      - A path, a list of paths, or of mappings with C(path) and the settings of M(ansible.builtin.template),
        such as C(variable_start_string) and C(trim_blocks). Relative paths count from C(templates) of the
        role or playbook; directories and globs work as for O(src), kustomizations do not.
      - Files that are encrypted with Ansible Vault are opened, as are those of O(src) and O(catalogue_src),
        and a vaulted C(kubeconfig). Diffs do not show what they hold.
    type: raw
  api_version:
    description: API version of O(kind).
    type: str
    default: v1
  kind:
    description:
      - Kind of the object O(name), instead of a definition.
      - Without O(name), and with O(state=absent) and O(label_selectors), the live objects of this kind that
        are deleted.
    type: str
  name:
    description: Name of the object of O(kind), in O(namespace).
    type: str
  label_selectors:
    description:
      - Label selectors as C(kubectl -l) takes them, all of which have to hold. They choose among the
        definitions, or, with O(kind) and without O(name), among the live objects.
    type: list
    elements: str
    default: []
  append_hash:
    description:
      - Whether names of ConfigMaps and Secrets end in a hash of their content. References to them are not
        changed.
    type: bool
    default: false
  remote_src:
    description: Whether O(src) and O(catalogue_src) are paths on the host where the task runs.
    type: bool
    default: false
  state:
    description:
      - Whether the objects shall exist. With a catalogue, V(absent) removes the whole mesh, in an order in
        which callers go on working. Release records stay.
    type: str
    choices: [present, absent]
    default: present
  namespace:
    description: Namespace of namespaced objects that name none. There is no other default.
    type: str
  mesh_name:
    description:
      - Name under which objects belong together. They get the labels C(app.kubernetes.io/managed-by) and
        C(app.kubernetes.io/part-of), and the annotation C(servicemesh.istio/own-object) unless O(catalogue)
        computes them. Needed to prune without a catalogue.
    type: str
  prune:
    description:
      - Whether objects of the same mesh that are no longer described are removed. The kinds of O(catalogue)
        and those of this call are searched. Check mode shows what would go.
      - Without O(catalogue) only objects of calls such as this one go, and none that a catalogue computed.
      - A Namespace, CustomResourceDefinition, PersistentVolume or PersistentVolumeClaim that is no longer
        described is told and stays, because what it holds would go with it.
      - Release records and journals of rollouts, credentials and CAs are never pruned. A copy, which has the
        labels but was never written by O(field_manager), is told and stays.
    type: bool
    default: false
  prune_all:
    description: Whether pruning may remove all objects of the mesh. Otherwise that is refused.
    type: bool
    default: false
  force:
    description:
      - Whether fields that another field manager owns are taken over. Otherwise the task fails and names the
        manager and the fields.
      - Without it, fields of objects that this field manager wrote are taken back from C(kubectl), C(oc), k9s
        and Lens only, and RV(objects) names the tool.
      - The Istio objects of a catalogue are declared as a whole, so fields that such a tool added to them are
        removed, too. Labels, annotations and what a controller wrote stay.
    type: bool
    default: false
  field_manager:
    description: Name under which the API server records who owns the fields.
    type: str
    default: servicemesh.istio
  proof:
    description:
      - How "unchanged" is known. V(fields) compares with the ownership that the API server records.
        V(dry_run) asks the API server about each object, which also notices that a webhook changed its mind.
    type: str
    choices: [fields, dry_run]
    default: fields
  hidden_fields:
    description:
      - Fields whose values are secrets, such as V(spec.values[0].pin), V(data[app.ini]), V(spec.keys[*].id).
      - Diffs and errors blank them. Without it they blank the data of Secrets, private keys, and what
        is called like one (C(password), C(client_secret), a value beside the name C(API_KEY)).
    type: list
    elements: str
    default: []
  wait:
    description:
      - Whether to wait until workloads are rolled out, deleted objects are gone, and O(wait_for) holds.
        With a catalogue, until the proxies hold the last step. Between its steps it waits always.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait. For a catalogue they count for each step.
    type: raw
    default: 120
  wait_for:
    description: Conditions that each object must meet. They replace what its kind itself calls ready.
    type: list
    elements: dict
    default: []
    suboptions:
      jmespath:
        description: JMESPath expression over the live object.
        type: str
        required: true
      equals:
        description: Value that it must have.
        type: raw
        required: true
  wait_condition:
    description:
      - Entry of C(status.conditions) that each object must have. It replaces what its kind calls ready.
    type: dict
    suboptions:
      type:
        description: Type of the condition.
        type: str
        required: true
      status:
        description: Its status.
        type: str
        choices: ["True", "False", "Unknown"]
        default: "True"
      reason:
        description: Its reason. By default any.
        type: str
  delete_options:
    description: How objects are deleted, with the names of Kubernetes.
    type: dict
    suboptions:
      propagationPolicy:
        description: What becomes of what an object owns. By default V(Background).
        type: str
        choices: [Background, Foreground, Orphan]
      gracePeriodSeconds:
        description: What pods get to end. By default their own.
        type: int
      preconditions:
        description: Only this very object is deleted. When it is another one, the task fails.
        type: dict
        suboptions:
          uid:
            description: UID of the object.
            type: str
          resourceVersion:
            description: Version of the object.
            type: str
  unproved:
    description:
      - What happens between the steps of a catalogue when the proxies cannot be read, for lack of rights or
        because one does not answer. V(refuse) ends the run before the next step.
    type: str
    choices: [refuse, warn]
    default: refuse
  max_proxies:
    description: Above this number of proxies a sample of every workload is read; the result says so.
    type: int
    default: 200
  repair_split:
    description: Whether live routes get back the split of the release record where the two differ.
    type: bool
    default: false
  cluster_check:
    description:
      - What happens when O(catalogue) states what the cluster does not have. Compared are Services, their
        selectors, ports, target ports and protocols, the pods behind them with their ServiceAccounts and the
        labels of versions, and the pods, Services and ports of gateways.
      - V(refuse) fails before the first write, also in check mode, when calls would be cut off, and warns of
        the rest. Services that the same run makes count as there.
    type: str
    choices: [refuse, warn, "off"]
    default: refuse
  not_deployed:
    description:
      - Services of O(catalogue) that need not exist yet, by name or as C(NAMESPACE/NAME), with wildcards.
        Nothing is proved of those that are missing.
    type: list
    elements: str
    default: []
  check:
    description:
      - Whether a changed mesh is validated as a whole before the first write, by dry-runs of everything that
        differs and by C(istioctl analyze). V(strict) fails on errors, V(warn) warns.
    type: str
    choices: [strict, warn, "off"]
    default: "off"
  istioctl:
    description: Path of istioctl, for O(check).
    type: path
  strict_guard:
    description:
      - What happens when a namespace of the catalogue turns to STRICT mutual TLS while callers without it
        were seen lately, or a port is scraped without it.
    type: str
    choices: [refuse, warn]
    default: refuse
  access_guard:
    description:
      - Whether a run that lets somebody in is refused, or only told.
      - Who may call whom is computed from the live policies, with and without the changes.
    type: str
    choices: [refuse, tell]
    default: tell
  strict_guard_window:
    description: How far back O(strict_guard) looks, such as V(1h30m); at most 30 days.
    type: raw
    default: 1h
  prometheus:
    description: URL of Prometheus, or NAMESPACE/SERVICE:PORT in the cluster, for O(strict_guard).
    type: str
  owner:
    description:
      - Name of the inventory, such as C(shop@production). It stands on the objects of O(catalogue) but for
        VirtualServices (annotation C(servicemesh.istio/applied-by)), and whoever has another name is refused
        when its run would change the mesh.
    type: str
    default: ''
  take_over:
    description: Change a mesh of another O(owner); its objects belong to this one from then on.
    type: bool
    default: false
  threads:
    description: Requests in flight at most.
    type: int
    default: 24
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    description: Can run in check mode and predict the result without changing anything.
    support: full
  diff_mode:
    description: Shows the difference of each changed object. Secrets and key material are blanked.
    support: full
author:
  - servicemesh.istio contributors (@servicemesh)
notes:
  - Of M(kubernetes.core.k8s) two options are missing. What C(proxy_headers) is for stands in the URL of
    O(proxy), whose login is sent to it; and results hold no whole objects (C(return_objects)), which may be
    large and secret.
seealso:
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: Apply a mesh
  servicemesh.istio.resources:
    catalogue_src: [mesh.yml]
    prune: true
    wait: true

- name: Apply a team's own manifests and remove what it no longer describes
  servicemesh.istio.resources:
    src: [istio/, extra/*.yml]
    namespace: ecommerce
    mesh_name: shop-team
    prune: true

- name: Wait for an object of an operator
  servicemesh.istio.resources:
    definition:
      apiVersion: telemetry.istio.io/v1
      kind: Telemetry
      metadata: {name: default, namespace: ecommerce}
      spec: {accessLogging: [{providers: [{name: envoy}]}]}
    wait: true
    wait_for:
      - {jmespath: "metadata.generation > `0`", equals: true}

- name: Apply a manifest with Jinja in it, and wait for a condition
  servicemesh.istio.resources:
    template: gateway.yml.j2
    wait: true
    wait_condition: {type: Programmed}

- name: Remove one object, and what it owns before it
  servicemesh.istio.resources:
    state: absent
    api_version: apps/v1
    kind: Deployment
    name: old
    namespace: ecommerce
    delete_options: {propagationPolicy: Foreground}
    wait: true

- name: Remove a mesh
  servicemesh.istio.resources:
    state: absent
    catalogue_src: [mesh.yml]
    wait: true

- name: Remove objects
  servicemesh.istio.resources:
    src: [istio/old.yml]
    state: absent
    wait: true
"""

RETURN = r"""
counts:
  description: Numbers of objects by what happened, or would happen, to them.
  returned: success
  type: dict
  sample: {created: 0, updated: 2, adopted: 0, deleted: 1, unchanged: 37, held: 0}
objects:
  description: The objects that are not simply unchanged, and what happened to them.
  returned: success, and on failure what had been written
  type: list
  elements: dict
  sample:
    - {id: VirtualService ecommerce/frontend-routes, action: updated}
    - {id: PeerAuthentication ecommerce/default, action: updated, taken_back_from: kubectl-patch}
not_written:
  description: Number of objects that were not written when the task failed on the way.
  returned: failure during the writes
  type: int
  sample: 3
summary:
  description: The result as lines to read.
  returned: success
  type: list
  elements: str
  sample: ["2 updated, 41 unchanged"]
notes:
  description: What there is to say about services, such as running rollouts and drift.
  returned: with a catalogue
  type: list
  elements: str
  sample: ["shop/cart: a rollout holds its routes"]
findings:
  description: The verdicts of the checks before the first write, when something differed.
  returned: with a catalogue
  type: list
  elements: dict
  sample: [{check: analyze, status: pass}]
access:
  description:
    - The requests whose answer the changes flip, by service and the policy that decides, with one example.
    - What opens comes first.
  returned: with a catalogue, when something changed or would
  type: list
  elements: dict
  sample:
    - kind: opens
      service: ecommerce/payment-service
      caller: ecommerce/order-service
      request: POST /api/refunds on port 3000
      policy: AuthorizationPolicy ecommerce/payment-service
      cells: 1
streams:
  description:
    - The changes that make proxies replace a listener, and whose connections that ends. Requests are
      finished, longer streams are cut when the proxies have drained (45 s unless C(drainDuration) says
      otherwise).
  returned: with a catalogue, when something changed or would
  type: list
  elements: dict
  sample: [{object: AuthorizationPolicy ecommerce/frontend, of: [ecommerce/frontend]}]
propagation:
  description: Whether the proxies hold the change, how many of them, and the seconds of each step.
  returned: with a catalogue, when something changed
  type: dict
  sample: {status: pass, proxies: 12, seconds: [0.4, 0.9]}
error:
  description: Class of the error, such as V(InputError), V(ApiError), V(ConflictError) or V(WaitTimeout).
  returned: failure
  type: str
  sample: ConflictError
problems:
  description: Everything that is wrong with the input.
  returned: failure by bad input
  type: list
  elements: dict
  sample: [{where: "mesh_services[3].retries", message: "...", rule: timeout-budget}]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)


def main() -> None:
    run_module(resources)


if __name__ == "__main__":
    main()
