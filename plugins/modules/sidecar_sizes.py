#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sidecar_sizes
short_description: Give the sidecars of a mesh's services their sizes
version_added: 0.9.0
description:
  - Sets Istio's annotations for requests, limits and concurrency of the proxy on the pod templates of the
    Deployments of services that have C(proxy) in the catalogue. Nothing else of a Deployment is touched, and
    none is created.
  - A Deployment that changes rolls.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: The same comparison, and a server-side dry run of what differs.
  diff_mode:
    support: full
    description: The annotations of each pod template that changes, before and after.
options:
  catalogue:
    description: The mesh as data, a mapping with the C(mesh_*) keys of role P(servicemesh.istio.mesh#role).
    type: dict
    default: {}
  owner:
    description:
      - Name of the inventory, such as C(shop@production). It stands on each Deployment that is sized
        (annotation C(servicemesh.istio/sized-by)), and whoever has another name is refused when its run
        would change a size.
    type: str
    default: ''
  take_over:
    description: Change sizes of another O(owner); they belong to this one from then on.
    type: bool
    default: false
  wait:
    description: Whether to wait until the Deployments that changed are rolled out.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for all of them, or a duration such as V(5m).
    type: raw
    default: 120
seealso:
  - module: servicemesh.istio.resources
  - module: servicemesh.istio.injection
"""

EXAMPLES = r"""
- name: Size the sidecars
  servicemesh.istio.sidecar_sizes:
    catalogue: "{{ catalogue }}"
    wait: true
"""

RETURN = r"""
objects:
  description: The Deployments that changed.
  returned: success
  type: list
  elements: str
  sample: [Deployment ecommerce/frontend]
error:
  description: Class of the error, such as V(InputError), V(ApiError) or V(WaitTimeout).
  returned: failure
  type: str
  sample: ApiError
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import sidecar_sizes


def main() -> None:
    run_module(sidecar_sizes)


if __name__ == "__main__":
    main()
