# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a catalogue is written: does the cluster have what it talks about?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...model.catalogue.mesh import Catalogue
from ...model.objects.expectations import Expectation
from ...verdicts import CANNOT_TELL
from ..cluster_check.compare import compare
from ..cluster_check.findings import Comparison
from ..cluster_check.services import Weights
from .analysis import OFF

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from .options import MeshOptions


class ClusterGuard:
    """Called once, before the first write of a run that would change something.

    :param extra: a team's own objects, which the same run writes.
    """

    def __init__(
        self,
        client: KubeClient,
        catalogue: Catalogue,
        extra: Sequence[Mapping[str, Any]],
        options: MeshOptions,
        context: Context,
    ) -> None:
        self._client, self._catalogue, self._extra = client, catalogue, extra
        self._options, self._context = options, context
        self._found: Comparison | None = None

    def __call__(self, weights: Weights) -> None:
        """:raises InputError: in mode refuse, with everything that would cut calls off."""
        if self._options.cluster_check == OFF:
            return
        found = self._found = compare(
            self._client,
            self._catalogue,
            not_deployed=self._options.not_deployed,
            weights=weights,
            extra=self._extra,
            # Check mode installs nothing: an earlier part of the real run may bring a gateway.
            gateways_may_come=self._context.check_mode,
        )
        for text in found.notes:
            self._context.warn(f"catalogue and cluster: {text}")
        if found.cuts and self._options.cluster_check == "refuse":
            raise InputError(found.cuts)
        for problem in found.cuts:
            self._context.warn(f"catalogue and cluster: {problem}")

    def provable(self, facts: Iterable[Expectation]) -> list[Expectation]:
        """The facts that a proxy can hold: of a Service that does not exist istiod tells nobody.

        :returns: ``facts`` without those about services that are missing.
        """
        missing = self._found.missing if self._found else frozenset()
        hosts = {service.fqdn for service in self._catalogue.services if service.key in missing}
        return [fact for fact in facts if not {fact.scope.clients_of, fact.data.get("host")} & hosts]

    def as_result(self) -> dict[str, Any]:
        """The part of the module's result. :returns: ``check``, ``status``, ``reason``, ``findings``."""
        if self._found is None:
            off = self._options.cluster_check == OFF
            status, reason = (OFF, "") if off else (CANNOT_TELL, "nothing would change")
            return {"check": "cluster", "status": status, "reason": reason, "findings": []}
        found = self._found
        return {
            "check": "cluster",
            "status": found.status,
            "reason": "something could not be looked at" if found.status == CANNOT_TELL else "",
            "findings": [str(item) for item in found.differences],
        }
