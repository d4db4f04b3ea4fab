#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the computed objects of a mesh to a directory
version_added: 0.9.0
description:
  - The same computation and the same checks as when a catalogue is applied, written as YAML, one file per
    kind,
    with a C(kustomization.yaml). Needs no cluster.
  - Files of kinds that the mesh no longer has are removed. Other files in the directory are left alone.
author:
  - servicemesh.istio contributors (@servicemesh)
attributes:
  check_mode:
    support: full
    description: Says which files would be written.
  diff_mode:
    support: full
    description: Shows the changes of each file.
options:
  catalogue:
    description:
      - The mesh catalogue, that is the variables C(mesh_*), C(istio_gateways), C(istio_namespace) and
        C(istio_revision).
    type: dict
    required: true
  releases:
    description:
      - "Release records to assume, by C(namespace/service), such as C({shop/a: {weights: {v1: 90, v2:
        10}}})."
    type: dict
    default: {}
  directory:
    description: Where to write. A relative path counts from the directory of the process.
    type: path
    required: true
seealso:
  - module: servicemesh.istio.resources
  - plugin: servicemesh.istio.mesh_resources
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write the objects for a review
  servicemesh.istio.render:
    catalogue: "{{ lookup('ansible.builtin.file', 'mesh.yml') | from_yaml }}"
    directory: rendered
  delegate_to: localhost
"""

RETURN = r"""
directory:
  description: Absolute path of the directory.
  returned: success
  type: str
  sample: /srv/mesh/rendered/production
files:
  description: What happened to each file, C(written), C(removed) or C(unchanged).
  returned: success
  type: dict
  sample: {virtual-services.yaml: written, kustomization.yaml: unchanged}
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import render


def main() -> None:
    run_module(render)


if __name__ == "__main__":
    main()
