# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that describe a control plane, shared by ``control_plane`` and ``preflight``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...model.installation.gateways import DEFAULT_GATEWAYS, DEFAULT_NAMESPACE
from ...model.installation.settings import METHODS, Installation, read_installation
from ...model.reading.typed import typed_options, variables_of

DEFAULT_VERSION = "1.31.1"

# A fresh copy per use: Ansible's validator may write into a spec.
_DIGEST = re.compile(r"[0-9a-f]{64}")
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
    "chart_checksums": {"type": "dict", "default": {}},
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
    :param chart_checksums: sha256 of packaged charts, by the chart's name.
    """

    istioctl_path: str
    helm_binary: str
    chart_source: str
    chart_cache: str
    chart_checksums: Mapping[str, str] = dataclasses.field(default_factory=dict)


def typed_installation(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The options of an installation that reach a module as one mapping, typed as its own options are.

    :returns: those that are given, by their names in ``INSTALLATION_SPEC``, and what could not be read, named
        by role variable.
    """
    return typed_options(given, INSTALLATION_SPEC, lambda name: INSTALLATION_VARIABLES[name])


def installation_of(params: Mapping[str, Any]) -> Installation:
    """The control plane that a module's parameters describe.

    :param params: may hold further options, and lack some of ``INSTALLATION_SPEC``.
    :raises InputError: with every problem, each named by its role variable.
    """
    return read_installation({name: params.get(name) for name in INSTALLATION_SPEC})


def tools_of(params: Mapping[str, Any]) -> ToolOptions:
    """Where a module's parameters say that the tools are; needs all of ``INSTALLATION_SPEC``.

    :raises InputError: a checksum that is none.
    """
    return ToolOptions(
        istioctl_path=str(params["istioctl_path"]),
        helm_binary=str(params["helm_binary"]),
        chart_source=str(params["chart_source"]),
        chart_cache=str(params["chart_cache"]),
        chart_checksums=_checksums(params["chart_checksums"]),
    )


def _checksums(given: Mapping[str, Any]) -> dict[str, str]:
    """Digests as ``sha256sum`` prints them, with or without ``sha256:`` before them."""
    found, problems = {}, []
    for chart, value in given.items():
        digest = str(value).strip().lower().removeprefix("sha256:")
        if not _DIGEST.fullmatch(digest):
            message = "is no sha256 (64 hexadecimal digits)"
            problems.append(Problem(f"istio_chart_checksums.{chart}", message, "checksum"))
        found[str(chart)] = digest
    if problems:
        raise InputError(problems)
    return found
