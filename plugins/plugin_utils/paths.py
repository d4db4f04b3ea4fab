# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative paths of a connection, which mean the same to our modules and to those of kubernetes.core."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..module_utils.kube.options import is_content

CONNECTION_FILES = (
    "kubeconfig",
    "ca_cert",
    "ssl_ca_cert",
    "client_cert",
    "cert_file",
    "client_key",
    "key_file",
)


def absolute_path(path: str, directories: Sequence[str]) -> str:
    """A path that is absolute, with ``~`` and variables of the environment expanded.

    A relative one is looked for in ``directories``, then in that of the process. Where none has it, it counts
    from the process's directory, as for kubectl, so that a message shows where it was expected.
    """
    # Not Path: it knows no answer for ~somebody who has no home, and resolves what abspath only joins.
    expanded = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - see above
    places = (*directories, os.getcwd())  # noqa: PTH109 - text, like the rest
    here = [os.path.join(directory, expanded) for directory in places]  # noqa: PTH118 - text
    found = [candidate for candidate in here if os.path.exists(candidate)]  # noqa: PTH110 - text
    return os.path.abspath((found or here[-1:])[0])  # noqa: PTH100 - see above


def absolute_kubeconfig(path: str, directories: Sequence[str]) -> str:
    """The same for a kubeconfig, which may be several paths joined by colons, or no path but the content."""
    if is_content(path):
        return path
    return os.pathsep.join(absolute_path(part, directories) for part in path.split(os.pathsep) if part)
