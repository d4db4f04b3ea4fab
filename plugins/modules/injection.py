#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: injection
short_description: Bring the workloads of namespaces into an Istio mesh, or to its current proxy
version_added: 0.9.0
description:
  - Labels namespaces for sidecar injection, with C(istio-injection=enabled) or C(istio.io/rev), never both.
  - Restarts the workloads whose pods carry no proxy, or another revision, version or image than the
    injector would
    give them now, and proves every pod afterwards. What the injector would give is computed from the
    cluster's own
    webhooks, revision tags and injector settings.
  - A workload is rolled out where its strategy stays within the PodDisruptionBudgets of its pods, otherwise
    its pods
    are evicted one by one. Where a restart would be an outage or would not work, the workload is only
    listed, with
    the reason.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Shows the labels and the very plan of restarts that would be carried out; writes nothing.
  diff_mode:
    support: full
    description: Shows the labels before and after, and for each restarted workload what is wrong with its
      pods.
options:
  namespaces:
    description:
      - Namespaces whose workloads belong to the mesh, as names or dictionaries.
      - A name alone, or C(mode=injection), asks for C(istio-injection=enabled). C(mode=revision), or a
        C(revision),
        asks for C(istio.io/rev=REVISION), where the revision may be a tag. C(mode=keep) leaves the labels
        alone.
      - With C(create=true) a missing namespace is created.
    type: list
    elements: raw
    required: true
  gateway_namespaces:
    description:
      - Namespaces whose labels stay as they are, and whose injected gateways are kept up to date.
      - By default the namespaces of O(gateways).
    type: list
    elements: str
  gateways:
    description:
      - C(istio_gateways), of which only the namespaces matter here.
      - Without it, the one gateway C(istio-ingressgateway) in O(istio_namespace); an empty list means none.
    type: list
    elements: dict
  istio_namespace:
    description:
      - Namespace of gateways that name none, and of the injectors' settings where a webhook calls a URL
        instead of a Service.
    type: str
    default: istio-system
  restart:
    description: Whether workloads are restarted. With V(false) they are only listed.
    type: bool
    default: true
  restart_anyway:
    description:
      - Workloads that are restarted although they would only be listed, as patterns such as V(StatefulSet
        shop/db)
        or V(Deployment shop/*).
      - Bare pods are never touched.
    type: list
    elements: str
    default: []
  replace_foreign_labels:
    description: Replace labels even where a controller, such as Argo CD, is known to put them back.
    type: bool
    default: false
  owner:
    description:
      - Name of the inventory, such as C(shop@production). It stands on each namespace that is labelled
        (annotation C(servicemesh.istio/injected-by)), and whoever has another name is refused when its
        run would change the label.
    type: str
    default: ''
  take_over:
    description: Change labels of another O(owner); the namespaces belong to this one from then on.
    type: bool
    default: false
  batch:
    description: Number of workloads that are restarted at the same time. Gateways go last, one at a time.
    type: int
    default: 4
  timeout:
    description: Seconds that one batch may take, and that one eviction may wait for its budget.
    type: raw
    default: 600
seealso:
  - module: servicemesh.istio.control_plane
  - module: servicemesh.istio.verify
"""

EXAMPLES = r"""
- name: Bring the shop into the mesh
  servicemesh.istio.injection:
    namespaces:
      - ecommerce
      - name: payments
        revision: stable
    gateway_namespaces: [istio-system]

- name: Show what a new revision would restart
  servicemesh.istio.injection:
    namespaces:
      - name: ecommerce
        revision: 1-31-1
  check_mode: true
  diff: true
"""

RETURN = r"""
status:
  description: >-
    V(pass) when every pod that should be injected carries the right proxy, V(fail) when one does not,
    V(cannot tell) when there is no injector or no pod to look at.
  returned: success
  type: str
  sample: pass
summary:
  description: The verdict and what goes with it, as lines to read.
  returned: success
  type: list
  elements: str
  sample: ["pass: 10 pods with the right proxy, 0 workloads to restart"]
reason:
  description: Why the status is not V(pass).
  returned: success
  type: str
  sample: 1 pod carries no proxy
counts:
  description: Numbers of namespaces, labels, restarts and pods by verdict.
  returned: success
  type: dict
  sample: {namespaces: 1, labelled: 0, restarts: 0, left_alone: 0, pods: 10, injected: 10, native_sidecars:
    10,
           stale_before: 0, stale: 0, skipped: 0}
objects:
  description: What was changed, or would be.
  returned: success
  type: list
  elements: dict
  sample: [{id: Namespace ecommerce, action: updated}, {id: Deployment ecommerce/frontend-v1, action:
    restarted}]
plan:
  description: Every workload with wrong pods, why they are wrong, and what is done about it.
  returned: success
  type: list
  elements: dict
  sample: [{workload: Deployment shop/web, reasons: [no proxy], action: rollout}]
left_alone:
  description: Workloads with wrong pods that were not restarted, and the reason.
  returned: success
  type: list
  elements: dict
  sample: [{id: StatefulSet ecommerce/db, why: not injected, reason: "single replica without surge: a
    restart is an outage"}]
skipped_pods:
  description: Pods that get no proxy, and the reason.
  returned: success
  type: list
  elements: dict
  sample: [{id: Pod ecommerce/migrate-x7k2p, reason: finished (Succeeded)}]
not_proved:
  description: Pods that do not carry the right proxy now.
  returned: success
  type: list
  elements: dict
  sample: [shop/web-1]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection import (
    backend as injection,
)


def main() -> None:
    run_module(injection)


if __name__ == "__main__":
    main()
