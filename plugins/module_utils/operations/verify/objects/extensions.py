# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: what changes proxies in ways that nobody can evaluate from outside.

EnvoyFilters, WasmPlugins and their like can do anything to a request. One that acts on a proxy of the
catalogue and is not the catalogue's is "cannot tell", until somebody who knows it lists it with a reason.
"""

from __future__ import annotations

from ....fields import mapping_at
from ....object_id import object_id
from ....words import few
from ..findings import Finding, beside, unknown
from ..ours import Ours, ordered

EXTENSIONS = ("EnvoyFilter", "WasmPlugin", "TrafficExtension", "ProxyConfig")
HARMLESS = frozenset({"selector", "concurrency"})
"""Fields of a ProxyConfig that change no decision of a proxy."""


def check_extensions(ours: Ours) -> list[Finding]:
    """One finding per foreign object that changes the proxies of workloads or gateways of the catalogue.

    :returns: by kind.
    """
    found = []
    for kind in EXTENSIONS:
        for item in ordered(ours.around.of(kind)):
            acted = [] if ours.is_own(item) else ours.acted_on(item)
            if not acted:
                continue
            subject = object_id(item)
            if kind == "ProxyConfig" and set(mapping_at(item, "spec")) <= HARMLESS:
                found.append(beside("objects", subject, f"sets the concurrency of {few(acted)}"))
            else:
                what = f"changes the proxies of {few(acted)}; what it makes of requests, nobody here can tell"
                found.append(unknown("objects", subject, what))
    return found
