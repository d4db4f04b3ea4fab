#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: reports
short_description: Keep the reports of a run in its cluster, or fetch them
version_added: 0.9.0
description:
  - A runner in a container loses its files when it ends. With O(state=kept) the files of a directory are
    written into a ConfigMap of the cluster that they are about, compressed; with O(state=fetched) they are
    written back where they are missing, so that the next report can be compared with the last one.
  - It is never a change; what a run leaves about itself is none of the mesh.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.cluster
attributes:
  check_mode:
    support: full
    description: Says which files would be kept or fetched, and writes nothing.
  diff_mode:
    support: none
    description: There is nothing to show.
options:
  state:
    description: Whether to keep or to fetch.
    type: str
    choices: [kept, fetched]
    default: kept
  name:
    description: What the reports are of, such as V(verify). The ConfigMap is C(servicemesh-reports-NAME).
    type: str
    required: true
  namespace:
    description: Namespace of the ConfigMap.
    type: str
    default: servicemesh-system
  directory:
    description: Where the files are, on the machine where the module runs. Directories in it do not count.
    type: path
    required: true
  limit:
    description:
      - Bytes that all files together may take, compressed and encoded, at most 1000000. What does not fit is
        a warning and is left out.
    type: int
    default: 1000000
seealso:
  - module: servicemesh.istio.verify
  - module: servicemesh.istio.trust_info
"""

EXAMPLES = r"""
- name: Fetch the last report
  servicemesh.istio.reports:
    state: fetched
    name: verify
    directory: /tmp/reports/production

- name: Keep the new one
  servicemesh.istio.reports:
    name: verify
    directory: /tmp/reports/production
"""

RETURN = r"""
files:
  description: Names of the files that are kept, or were fetched.
  returned: success
  type: list
  elements: str
  sample: [report.json, report.html]
left_out:
  description: Names of files that did not fit, or are damaged.
  returned: success
  type: list
  elements: str
  sample: []
object:
  description: Where they are kept.
  returned: success
  type: str
  sample: ConfigMap servicemesh-system/servicemesh-reports-verify
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import reports


def main() -> None:
    run_module(reports)


if __name__ == "__main__":
    main()
