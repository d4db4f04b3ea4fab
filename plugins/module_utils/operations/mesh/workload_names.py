# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How workloads are called in the metrics of proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...fields import labels_of, mapping_at, name_of
from ...istio.workloads import controller_of, workload_of


def workload_name(pod: Mapping[str, Any]) -> str:
    """The name of a pod's workload in metrics: its Deployment, StatefulSet or the like, else its own."""
    return workload_of(controller_of(mapping_at(pod, "metadata")), labels_of(pod))[1] or name_of(pod)
