#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: helm_release
short_description: Run helm for one release on the cluster of the connection
version_added: 0.9.0
description:
  - Installs, upgrades or removes one release with the program helm. It runs helm each time it is called. What
    differs is found by M(servicemesh.istio.control_plane) before.
  - helm is given a kubeconfig that says exactly what the connection options say, and no other variable of the
    environment that could name a cluster. So it always reaches the cluster that the other modules reach.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: partial
    details: Says that the release would change, without asking helm.
    description: It writes nothing in check mode.
  diff_mode:
    support: none
    description: The differences are those of M(servicemesh.istio.control_plane).
options:
  name:
    description: Name of the release.
    type: str
    required: true
  release_namespace:
    description: Namespace of the release. It is created when it does not exist.
    type: str
    required: true
  chart:
    description: A chart on the disk of the host where the task runs, a packaged one or a directory.
    type: str
  values:
    description: All values of the release. They are handed to helm through its standard input.
    type: dict
    default: {}
  installation:
    description:
      - The installation that the release is a part of, with the names of the options of
        M(servicemesh.istio.control_plane). The values of the release follow from it, instead of O(values).
      - So values that hold secrets need not stand in the result of another task.
    type: dict
  state:
    description: Whether the release shall exist.
    type: str
    choices: [present, absent]
    default: present
  history_max:
    description: How many revisions of the release helm keeps.
    type: int
    default: 10
  wait:
    description: Whether helm waits until the objects of the release are ready, or gone.
    type: bool
    default: true
  timeout:
    description: Seconds that helm waits at most, or a duration such as V(5m).
    type: raw
    default: 300
  binary:
    description: The program helm, as a path or as a name on C(PATH).
    type: str
    default: helm
seealso:
  - module: servicemesh.istio.control_plane
"""

EXAMPLES = r"""
- name: Install the base chart
  servicemesh.istio.helm_release:
    name: istio-base
    release_namespace: istio-system
    chart: /var/cache/charts/base-1.31.1.tgz
    values: {defaultRevision: default}
"""

RETURN = r"""
release:
  description: Namespace and name of the release.
  returned: success
  type: str
  sample: istio-system/istio-base
error:
  description: Class of the error, such as V(InputError) or V(MeshError).
  returned: failure
  type: str
  sample: MeshError
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import helm_release


def main() -> None:
    run_module(helm_release)


if __name__ == "__main__":
    main()
