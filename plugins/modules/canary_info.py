#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: canary_info
short_description: Show the rollouts of a mesh
version_added: 0.9.0
description:
  - Shows for each service with versions which one is stable, the live split, and the newest rollout.
author: [servicemesh.istio contributors (@servicemesh)]
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
  catalogue:
    description: The mesh as data, variables C(mesh_*), C(istio_gateways) and C(istio_namespace).
    type: dict
    required: true
  services:
    description:
      - Names of the services to look at, C(NAME) or C(NAMESPACE/NAME). Empty means all.
      - A mere name means the services of this name in all namespaces.
      - A name that the catalogue lacks is refused.
    type: list
    elements: str
    default: []
seealso:
  - module: servicemesh.istio.canary
"""

EXAMPLES = r"""
- name: Which rollouts are running
  servicemesh.istio.canary_info:
    catalogue: "{{ canary_catalogue }}"
  register: rollouts
"""

RETURN = r"""
services:
  description: One entry per service.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Namespace and name.
      type: str
      sample: shop/product-service
    stable:
      description: The version on record as stable, or the catalogue's initial version.
      type: str
      sample: v1
    recorded:
      description: Whether there is a release record.
      type: bool
      sample: true
    finished_at:
      description: When the record was written (RFC 3339), by run C(recorded_run); empty without one.
      type: str
      sample: '2026-11-29T08:00:00Z'
    split:
      description: Percent by version in the live routes.
      type: dict
      sample: {v1: 90, v2: 10}
    state:
      description: >-
        State of the newest rollout, V(none) when there was none, V(unreadable) when what the cluster keeps of
        it cannot be read.
      type: str
      sample: running
    outcome:
      description: How it ended.
      type: str
      sample: ''
    reason:
      description: Why.
      type: str
      sample: ''
    began_at:
      description: When the newest rollout began, and C(at) when it was last written down (RFC 3339).
      type: str
      sample: '2026-11-29T07:30:00Z'
    held_by:
      description: The runner that holds the service now.
      type: str
      sample: runner-1
lines:
  description: The same for people, one line per service.
  returned: success
  type: list
  elements: str
  sample: ["shop/product-service: v1 stable; v1 90 %, v2 10 %; v2 running in phase 1 of 4"]
active:
  description: Services whose rollout has not ended.
  returned: success
  type: list
  elements: str
  sample: [shop/product-service]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import info as canary_info


def main() -> None:
    """Runs the backend."""
    run_module(canary_info)


if __name__ == "__main__":
    main()
