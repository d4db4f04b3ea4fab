# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control plane: namespaces that istiod is told not to look at (``discoverySelectors``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ....documents.json_text import json_text
from ....fields import labels_of, list_at, namespace_of
from ....istio.injection.webhooks import NAMESPACE_NAME_KEY, matches
from ....model.installation.mesh_config import as_spelled
from ....words import few
from ..case import Case
from ..cause import CONTROL_PLANE, SURE, Cause


def find(case: Case) -> Iterator[Cause]:
    """Namespaces of the symptom's pods and Services. :returns: one cause at most."""
    config = case.material.config
    stated = list_at(config, *as_spelled(config, "discoverySelectors"))
    selectors = [item for item in stated if isinstance(item, Mapping)]
    hidden = [
        place
        for place in sorted(_places(case))
        if selectors
        if place in case.namespaces
        and not any(
            matches(item, {NAMESPACE_NAME_KEY: place, **labels_of(case.namespaces[place])})
            for item in selectors
        )
    ]
    if hidden:
        said = f"hides namespace {few(hidden)} from istiod: no proxy is told of its Services and pods"
        remedy = f"istio_mesh_config: discoverySelectors, or a label for {hidden[0]} that they select"
        subject = f"ConfigMap {case.catalogue.istio_namespace}/{case.material.config_name}"
        yield Cause(
            CONTROL_PLANE, subject, said, remedy, SURE, (f"discoverySelectors: {json_text(selectors)}",)
        )


def _places(case: Case) -> set[str]:
    if case.symptom.anything:
        return {case.symptom.namespace} if case.symptom.namespace else set(case.meshed)
    return {namespace_of(item) for item in (*case.subjects, *case.services)}
