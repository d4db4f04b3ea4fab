#!/usr/bin/python
# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: download
short_description: Keep a verified copy of a file or of a part of an archive
version_added: 0.9.0
description:
  - Fetches once per machine, whoever asks at the same time; a copy appears only when it is whole and its
    sha256 is
    right.
  - At every use the copy is compared with what was verified. A damaged one is fetched again, a sound one
    needs no
    network.
author:
  - servicemesh.istio contributors (@servicemesh)
attributes:
  check_mode:
    support: full
    description: It fetches in check mode, too, because what is fetched is needed to compare; it changes
      nothing else.
  diff_mode:
    support: none
    description: There is nothing to show.
options:
  url:
    description:
      - Where the file is, with C(https://), C(http://) or C(file://).
      - C({system}) and C({machine}) stand for the platform of the machine, as Istio names them, such as
        C(linux) and
        C(amd64).
    type: str
    required: true
  checksum:
    description:
      - sha256 of the file, or a URL that has it. Empty means the C(.sha256) file beside it, which proves
        integrity
        but not origin.
    type: str
    default: ''
  member:
    description:
      - Path of the file or directory inside the tar archive that is kept. Empty keeps the file itself.
    type: str
    default: ''
  directory:
    description:
      - Where copies are kept. By default C(servicemesh.istio/downloads) in E(XDG_CACHE_HOME), in C(~/.cache),
        or
        where there is no home, in a directory of this user in E(TMPDIR).
    type: path
  advice:
    description: What a person can do when the file cannot be fetched, for the message.
    type: str
    default: ''
  required:
    description:
      - With V(false) a file that cannot be had is a warning, and RV(path) is empty. Bad options are an error
        all the same, and nothing unverified is ever used.
    type: bool
    default: true
seealso:
  - module: servicemesh.istio.control_plane
  - module: servicemesh.istio.addons
"""

EXAMPLES = r"""
- name: Provide istioctl
  servicemesh.istio.download:
    url: "https://github.com/istio/istio/releases/download/1.31.1/istioctl-1.31.1-{system}-{machine}.tar.gz"
    member: istioctl
  register: istioctl
"""

RETURN = r"""
path:
  description: Path of the verified copy; empty when there is none and O(required=false).
  returned: success
  type: str
  sample: /home/me/.cache/servicemesh.istio/downloads/istioctl-1.31.1-linux-amd64-5f0c9d2b7e11/istioctl
url:
  description: URL of the file, with system and machine filled in.
  returned: success
  type: str
  sample: https://github.com/istio/istio/releases/download/1.31.1/istioctl-1.31.1-linux-amd64.tar.gz
sha256:
  description: sha256 of the file at RV(url), which was compared with its checksum.
  returned: success
  type: str
  sample: a44563904f22f2a8bf6ac4fff1b0bad9f718587c2be6aa807b83fe9049910639
downloaded:
  description: Whether it was fetched now.
  returned: success
  type: bool
  sample: false
reason:
  description: Why there is no copy; empty when there is one.
  returned: success
  type: str
  sample: ''
"""

from ansible_collections.servicemesh.istio.plugins.module_utils.entry import run_module
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.download import (
    backend as download,
)


def main() -> None:
    run_module(download)


if __name__ == "__main__":
    main()
