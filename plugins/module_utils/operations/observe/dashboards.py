# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to open each dashboard that runs: the command that leads a local port to it, and the URL."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ...kube.services import read_addresses
from .look import ObserveLook

PART = "dashboards"
# Name -> Service, port of it that is meant by name, local port, path. Sources: samples/addons of the Istio
# release (Jaeger's Service is `tracing`, its UI below /jaeger; Kiali's web root is /kiali).
_KNOWN: Mapping[str, tuple[str, str, int, str]] = {
    "prometheus": ("prometheus", "http", 9090, "/"),
    "grafana": ("grafana", "service", 3000, "/"),
    "jaeger": ("tracing", "http-query", 16686, "/jaeger"),
    "kiali": ("kiali", "http", 20001, "/kiali"),
}


def dashboards(look: ObserveLook) -> list[dict[str, Any]]:
    """The dashboards whose Service is there, and those of the list that are missing.

    :returns: ``name``, ``service`` (``""`` where it is missing), ``command`` and ``url``.
    """
    space = look.options.addons_namespace
    services = look.attempt(PART, lambda: look.listed("v1", "Service", space), None)
    if services is None:
        return []
    found = {read.name: read for read in map(read_addresses, services)}
    entries = []
    for name, (service, port_name, local, path) in _KNOWN.items():
        read = found.get(service)
        if read is None or not read.ports:
            if name in look.options.addons:
                entries.append({"name": name, "service": "", "command": "", "url": ""})
                look.tell_not(
                    PART, f"{name} is in addons_enabled and not there: playbook addons puts it there"
                )
            continue
        port = next((port for port in read.ports if port.name == port_name), read.ports[0])
        words = ["-n", space, "port-forward", f"service/{service}", f"{local}:{port.number}"]
        entries.append(
            {
                "name": name,
                "service": f"{space}/{service}",
                "command": shlex.join([*look.kubectl, *words]),
                "url": f"http://localhost:{local}{path}",
            }
        )
    return entries
