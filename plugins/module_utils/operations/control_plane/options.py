# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that describe a control plane, shared by ``control_plane`` and ``preflight``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...model.installation.gateways import DEFAULT_GATEWAYS, DEFAULT_NAMESPACE
from ...model.installation.settings import METHODS, Installation, read_installation
from ...model.reading.typed import variables_of

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
    "namespace": {"type": "str", "default": DEFAULT_NAMESPACE},
    "mesh_config": {"type": "dict", "default": {}},
    "extension_providers": {"type": "list", "elements": "dict", "default": []},
    "values": {"type": "dict", "default": {}},
    "operator_spec": {"type": "dict", "default": {}},
    "gateways": {"type": "list", "elements": "dict", "default": [dict(entry) for entry in DEFAULT_GATEWAYS]},
    "istioctl_path": {"type": "str", "default": "istioctl"},
    "helm_binary": {"type": "str", "default": "helm"},
    "chart_source": {"type": "str", "default": "https://blob.istio.io/istio-release/charts"},
    "chart_cache": {"type": "str", "default": ""},
}
INSTALLATION_VARIABLES = variables_of(
    INSTALLATION_SPEC, "istio_", extension_providers="mesh_extension_providers"
)


@dataclasses.dataclass(frozen=True, slots=True)
class ToolOptions:
    """Where the installers and the charts come from.

    :param istioctl_path: path of istioctl, or its name on PATH. :param helm_binary: the same of helm.
    :param chart_source: repository URL, ``oci://`` reference, or directory.
    :param chart_cache: directory where charts of a repository are kept; "" for the user's cache.
    """

    istioctl_path: str
    helm_binary: str
    chart_source: str
    chart_cache: str


def installation_of(params: Mapping[str, Any]) -> Installation:
    """The control plane that a module's parameters describe.

    :param params: may hold further options, and lack some of ``INSTALLATION_SPEC``.
    :raises InputError: with every problem, each named by its role variable.
    """
    return read_installation({name: params.get(name) for name in INSTALLATION_SPEC})


def tools_of(params: Mapping[str, Any]) -> ToolOptions:
    """Where a module's parameters say that the tools are; needs all of ``INSTALLATION_SPEC``."""
    return ToolOptions(**{field.name: str(params[field.name]) for field in dataclasses.fields(ToolOptions)})
