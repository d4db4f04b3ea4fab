# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs whose service has left the catalogue: nobody can end them, so somebody has to be told."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...labels import ownership_labels
from ...model.rollout.journal import Journal, JournalError, open_run

if TYPE_CHECKING:
    from ...kube.client import KubeClient
    from ...model.catalogue.mesh import Catalogue

WAY_OUT = (
    "the catalogue has no such service, or no versions of it: put it back until its rollout has ended, or"
    " delete the ConfigMap of the journal if the service is gone for good"
)


def left_behind(client: KubeClient, catalogue: Catalogue, known: Collection[str]) -> list[Journal]:
    """The open runs of this mesh in the catalogue's namespaces whose services are not known.

    What cannot be read, or may not be listed, is not told.

    :param known: ``namespace/name`` of services. :returns: their journals, in the order of their names.
    """
    selector = ",".join(f"{key}={value}" for key, value in ownership_labels(catalogue.name).items())

    def find(namespace: str) -> list[Journal]:
        try:
            items = client.list("v1", "ConfigMap", namespace, label_selector=selector).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            return []
        found = []
        for item in items:
            try:
                run = open_run(item)
            except JournalError:
                continue
            if run is not None and key_of(run) not in known:
                found.append(run)
        return found

    runs = [run for found in client.in_parallel(find, catalogue.namespaces) for run in found]
    return sorted(runs, key=key_of)


def key_of(journal: Journal) -> str:
    """``namespace/name`` of the service of a run."""
    return f"{journal.namespace}/{journal.service}"
