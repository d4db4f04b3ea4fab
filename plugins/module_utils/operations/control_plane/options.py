# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that describe a control plane, shared by ``control_plane`` and ``preflight``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...istio.installation.settings import METHODS

DEFAULT_VERSION = "1.31.1"

# A fresh copy per use: Ansible's validator may write into a spec.
INSTALLATION_SPEC: dict[str, dict[str, Any]] = {
    "method": {"type": "str", "default": "istioctl", "choices": list(METHODS)},
    "version": {"type": "str", "default": DEFAULT_VERSION},
    "hub": {"type": "str", "default": "docker.io/istio"},
    "tag": {"type": "str", "default": ""},
    "profile": {"type": "str", "default": "default"},
    "revision": {"type": "str", "default": ""},
    "default_revision": {"type": "str", "default": ""},
    "namespace": {"type": "str", "default": "istio-system"},
    "mesh_config": {"type": "dict", "default": {}},
    "extension_providers": {"type": "list", "elements": "dict", "default": []},
    "values": {"type": "dict", "default": {}},
    "operator_spec": {"type": "dict", "default": {}},
    "gateways": {
        "type": "list",
        "elements": "dict",
        "default": [{"name": "istio-ingressgateway"}],
    },
    "istioctl_path": {"type": "str", "default": "istioctl"},
    "helm_binary": {"type": "str", "default": "helm"},
    "chart_source": {"type": "str", "default": "https://blob.istio.io/istio-release/charts"},
    "chart_cache": {"type": "str", "default": "~/.cache/servicemesh.istio/charts"},
}


def installation_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a module's parameters that describes the control plane.

    :returns: option -> its value, None when it is not given.
    """
    return {name: params.get(name) for name in INSTALLATION_SPEC}
