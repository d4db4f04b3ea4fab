# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the ports of services and of external services alike."""

from __future__ import annotations

from collections.abc import Sequence

from ...reading.reader import Reader
from ..mesh import ExternalPort
from ..services import Port


def check_distinct_ports(reader: Reader, ports: Sequence[Port] | Sequence[ExternalPort]) -> None:
    """Names and numbers of ``ports`` are unique, as the Kubernetes API and istiod demand."""
    if not reader.sound("ports"):
        return
    for field in ("name", "number"):
        values = [getattr(port, field) for port in ports]
        for value in sorted({value for value in values if values.count(value) > 1}):
            reader.fault("ports", f"two ports have the {field} {value}", "duplicate")
