# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's variables as they come from a command line or a survey: text becomes what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import Problem
from ..reading.texts import Spec
from ..reading.typed import typed_value

_TEXTS: Spec = {"type": "list", "elements": "str"}
_SECTIONS: Spec = {"type": "list", "elements": "dict"}
_SECTION: Spec = {"type": "dict"}
CATALOGUE_TYPES: Mapping[str, Spec] = {
    "mesh_trust_domain_aliases": _TEXTS,
    "mesh_default_deny": {"type": "bool", "default": True},
    "mesh_open": _SECTION,
    "mesh_sidecar_hosts": _TEXTS,
    "mesh_gateways": _SECTIONS,
    "mesh_services": _SECTIONS,
    "mesh_external_services": _SECTIONS,
    "mesh_egress_gateway": _SECTION,
    "mesh_telemetry": _SECTION,
    "mesh_rate_limit_service": _SECTION,
    "istio_gateways": _SECTIONS,
}
"""Those that are no text; what they hold is judged by ``parse_catalogue``."""


def typed_catalogue(raw: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The variables with typed values; what is no text stays as it is.

    :param problems: takes what could not be read.
    :returns: a copy of ``raw``.
    """
    typed = dict(raw)
    for name, spec in CATALOGUE_TYPES.items():
        text = raw.get(name)
        if isinstance(text, str):
            # A survey's empty answer is none, so the default counts.
            typed[name] = typed_value(text, spec, name, problems) if text.strip() else None
    return typed
