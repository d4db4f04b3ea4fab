# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod counts of itself: refused configurations, conflicts, failed pushes, memory.

Asked over its own port, in the text format of Prometheus; source of the names: istio
pilot/pkg/xds/monitoring.go and pilot/pkg/model/push_context.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...istio.istiod import Istiod, istiod_metrics
from ...kube.client import KubeClient

WANTED = (
    "pilot_total_xds_rejects",
    "pilot_total_xds_internal_errors",
    "pilot_xds_write_timeout",
    "pilot_xds_push_context_errors",
    "pilot_conflict_inbound_listener",
    "pilot_conflict_outbound_listener_http_over_current_tcp",
    "pilot_conflict_outbound_listener_tcp_over_current_tcp",
    "pilot_duplicate_envoy_clusters",
    "pilot_vservice_dup_domain",
    "process_resident_memory_bytes",
)


def read_figures(client: KubeClient, istiods: Sequence[Istiod]) -> dict[str, float]:
    """The sums over all istiods; memory is that of the largest.

    :returns: metric -> value; none for a metric that nobody has counted.
    :raises ApiError: an istiod does not answer.
    """

    def ask(istiod: Istiod) -> list[tuple[str, float]]:
        return istiod_metrics(client, istiod.namespace, istiod.pod)

    found: dict[str, float] = {}
    for samples in client.in_parallel(ask, list(istiods)):
        own: dict[str, float] = {}
        for name, value in samples:
            if name in WANTED:
                own[name] = own.get(name, 0.0) + value
        for name, amount in own.items():
            largest = name == "process_resident_memory_bytes"
            found[name] = max(found.get(name, 0.0), amount) if largest else found.get(name, 0.0) + amount
    return found
