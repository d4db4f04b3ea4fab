# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option ``prometheus``, shared by every module that reads metrics."""

from __future__ import annotations


class ModuleDocFragment:
    """The option; its spec is ``PROMETHEUS_SPEC`` in ``module_utils/istio/metrics.py``."""

    DOCUMENTATION = r"""
options:
  prometheus:
    description:
      - Where the metrics are, either O(prometheus.url), or O(prometheus.namespace) and
        O(prometheus.service), reached through the API server.
    type: dict
    suboptions:
      url:
        description:
          - URL of Prometheus.
        type: str
      bearer_token:
        description:
          - Bearer token for the URL.
        type: str
      ca_cert:
        description:
          - CA certificate file for the URL.
        type: path
      validate_certs:
        description:
          - Whether the URL's certificate is checked.
        type: bool
        default: true
      namespace:
        description:
          - Namespace of Prometheus' Service.
        type: str
      service:
        description:
          - Name of Prometheus' Service.
        type: str
      port:
        description:
          - Port of the Service.
        type: raw
        default: 9090
      timeout:
        description:
          - Seconds that one query may take.
        type: raw
        default: 10
      matchers:
        description:
          - Labels of the series that are meant, such as C(cluster) in a Prometheus that has those of other
            clusters. They are added to every query but those that somebody wrote himself.
        type: dict
        default: {}
      replica_labels:
        description:
          - Labels by which copies of the same samples differ, such as C(prometheus_replica) where two
            replicas of Prometheus write to one store. Without them a target that is scraped twice is refused.
        type: list
        elements: str
        default: []
      headers:
        description:
          - Headers for the URL, such as C(X-Scope-OrgID).
        type: dict
        default: {}
      username:
        description:
          - User of basic authentication for the URL.
        type: str
      password:
        description:
          - Password of basic authentication for the URL.
        type: str
"""
