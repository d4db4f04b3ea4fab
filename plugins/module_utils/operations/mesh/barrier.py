# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the steps of a change: the proxies hold the step before the next one is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...model.catalogue.mesh import Catalogue
from ...model.objects.expectations import expectations
from ...verdicts import CANNOT_TELL, FAIL, PASS
from ..apply.engine import Held
from ..propagation.prove import prove
from ..propagation.report import PropagationReport
from .cluster_guard import ClusterGuard
from .lifted_modes import lifted_modes

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from .options import MeshOptions


class PropagationBarrier:
    """The barrier of a mesh. Keeps what it proved for the result.

    :ivar namespaces: where proxies are asked; ``None`` for the whole cluster.
    """

    def __init__(
        self,
        client: KubeClient,
        catalogue: Catalogue,
        options: MeshOptions,
        context: Context,
        guard: ClusterGuard,
    ) -> None:
        self._client, self._catalogue, self._options, self._context = client, catalogue, options, context
        self._guard = guard
        self.reports: list[tuple[str, PropagationReport]] = []
        self.namespaces: tuple[str, ...] | None = None

    def __call__(self, held: Held) -> None:
        if held.last and not self._options.wait:
            return
        facts = self._guard.provable(
            [
                *expectations(self._catalogue, held.objects, held.before),
                *lifted_modes(self._client, held, self._catalogue.root_namespace, self._context),
            ]
        )
        if not facts:
            return
        report = prove(
            self._client,
            facts,
            timeout=self._options.wait_timeout,
            progress=self._context.progress,
            max_proxies=self._options.max_proxies,
            namespaces=self.namespaces,
            root_namespace=self._catalogue.root_namespace,
            istio_namespace=self._catalogue.istio_namespace,
            since=self._context.clock.monotonic(),
            stop=self._context.stop,
        )
        self.reports.append((held.step, report))
        self._context.progress(f"{held.step}: {report.headline()}")
        if report.status == FAIL:
            report.check()
        if report.status == CANNOT_TELL and not held.last:
            self._unproved(held, report)

    def _unproved(self, held: Held, report: PropagationReport) -> None:
        message = (
            f"step {held.step} is written, but nothing proves that the proxies hold it: {report.headline()}"
        )
        if self._options.unproved == "refuse":
            raise RefusedError(
                f"{message}; the next step would risk running calls (option unproved: warn goes on)",
                rule="unproved",
                step=held.step,
            )
        self._context.warn(message)

    def result(self) -> dict[str, Any] | None:
        """The last report that is no pass, else the last one.

        :returns: ``PropagationReport.as_result`` with ``steps``: the seconds of each; ``None`` without any.
        """
        if not self.reports:
            return None
        steps = {step: round(report.seconds, 2) for step, report in self.reports}
        reports = [report for _unused, report in self.reports]
        told = [report for report in reports if report.status != PASS] or reports
        return {**told[-1].as_result(), "steps": steps}
