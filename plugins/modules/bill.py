#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: bill
short_description: List the images, charts and programs that a mesh needs from outside
version_added: 0.9.0
description:
  - Renders the control plane and its gateways as M(servicemesh.istio.control_plane) does, reads the add-ons
    as M(servicemesh.istio.addons) does, and lists every image of their pods, with the proxy's image that
    istiod injects, and the charts, programs and manifests they come from.
  - Asks no cluster and needs no rights.
  - Images that workloads ask for by annotations of their own (C(sidecar.istio.io/proxyImage)), and those of
    the workloads themselves, are not in it; nor is the program helm's checksum.
author:
  - servicemesh.istio contributors (@servicemesh)
extends_documentation_fragment:
  - servicemesh.istio.installation
attributes:
  check_mode:
    support: full
    description: Computes the same and writes no file.
  diff_mode:
    support: none
    description: The bill is the result.
options:
  addons:
    description: Add-ons with the manifests that they are applied from.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the add-on.
        type: str
        required: true
      path:
        description: A manifest, or a directory of manifests.
        type: path
        required: true
  addons_sources:
    description: Where manifests come from, by name; C({path}) or C({url, checksum}).
    type: dict
    default: {}
  addons_namespace:
    description: For objects that name none.
    type: str
    default: istio-system
  addons_images:
    description: Images to pull instead, by exact image or prefix.
    type: dict
    default: {}
  release_source:
    description: Where add-ons without a source come from, the release archive or its directory.
    type: str
    default: ''
  release_sha256:
    description: sha256 of that archive.
    type: str
    default: ''
  probe_image:
    description: Image of the probes of M(servicemesh.istio.verify); empty for none.
    type: str
    default: ''
  deadman:
    description: Whether rollouts have a Job in the cluster that gives the routes back.
    type: str
    choices: [none, job]
    default: none
  deadman_job:
    description: That Job. Its image alone counts here.
    type: dict
    suboptions:
      image:
        description: Its image.
        type: str
        default: docker.io/library/python:3.13-slim
      service_account:
        description: Its account.
        type: str
        default: servicemesh-deadman
      image_pull_secrets:
        description: Names of Secrets.
        type: list
        elements: str
        default: []
      notify_secret:
        description: Name of a Secret.
        type: str
  istioctl_source:
    description: Where istioctl comes from; its path unless it is known.
    type: str
    default: ''
  istioctl_sha256:
    description: sha256 of the archive.
    type: str
    default: ''
  path:
    description:
      - Where to write the bill, without an ending; C(.json) and C(.txt) are added. Without it nothing is
        written.
    type: path
seealso:
  - module: servicemesh.istio.control_plane
  - module: servicemesh.istio.addons
"""

EXAMPLES = r"""
- name: List what the control plane needs from outside
  servicemesh.istio.bill:
    version: 1.31.1
    istioctl_path: /usr/local/bin/istioctl
  register: bill

- name: Mirror every image
  ansible.builtin.command:
    argv: [skopeo, copy, "docker://{{ item }}", "docker://registry.example.com/{{ item }}"]
  loop: "{{ bill.images | map(attribute='image') | list }}"
  changed_when: true
"""

RETURN = r"""
istio:
  description: Version of Istio.
  returned: success
  type: str
  sample: 1.31.1
method:
  description: The tool that installs.
  returned: success
  type: str
  sample: istioctl
images:
  description:
    - Every image, with the parts of its reference, who runs it, and the variables that take it from
      elsewhere.
  returned: success
  type: list
  elements: dict
  sample:
    - image: docker.io/istio/pilot:1.31.1
      registry: docker.io
      repository: istio/pilot
      tag: 1.31.1
      digest: ''
      used_by: [Deployment istio-system/istiod]
      variables: [istio_hub, istio_tag]
charts:
  description: Every chart, when Helm installs.
  returned: success
  type: list
  elements: dict
  sample:
    - name: istiod
      version: 1.31.1
      source: https://blob.istio.io/istio-release/charts
      sha256: 7f6c0d9c0e7ad3b0a1d1d8fb2f3c7e6f0e1f9a5a6d1b2c3d4e5f60718293a4b5
      variables: [istio_chart_source, istio_chart_checksums]
programs:
  description: The program that installs.
  returned: success
  type: list
  elements: dict
  sample:
    - name: istioctl
      version: 1.31.1
      source: https://github.com/istio/istio/releases/download/1.31.1/istioctl-1.31.1-linux-amd64.tar.gz
      sha256: a44563904f22f2a8bf6ac4fff1b0bad9f718587c2be6aa807b83fe9049910639
      variables: [istio_istioctl_path, istio_istioctl_url, istio_istioctl_checksum]
manifests:
  description: Where the add-ons' manifests come from.
  returned: success
  type: list
  elements: dict
  sample: []
text:
  description: The same as lines for a person.
  returned: success
  type: list
  elements: str
  sample: ["Istio 1.31.1 by istioctl", "images (2)"]
files:
  description: The files of the bill.
  returned: when O(path) is given
  type: list
  elements: str
  sample: [/srv/mesh/bill.json, /srv/mesh/bill.txt]
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.bill import backend as bill


def main() -> None:
    run_module(bill)


if __name__ == "__main__":
    main()
