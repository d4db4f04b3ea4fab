# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SPIFFE identities as Istio writes them, without a scheme: ``TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT``."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """The identity of a workload; as text, what AuthorizationPolicies hold."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def parse_principal(text: str) -> Principal | None:
    """The parts of an identity, unchecked. :returns: ``None`` for any other text."""
    parts = text.split("/")
    if len(parts) != 5 or (parts[1], parts[3]) != ("ns", "sa"):
        return None
    return Principal(parts[0], parts[2], parts[4])
