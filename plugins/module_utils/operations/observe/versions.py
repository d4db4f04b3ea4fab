# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions run: of the control plane, and of the proxies of each revision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...istio.istiod import DEFAULT_REVISION, ISTIOD_SELECTOR, ready_istiods, sync_table
from ...istio.proxy.running import RunningProxy, running_proxies
from .look import ObserveLook

PART = "versions"


def versions(look: ObserveLook) -> dict[str, Any]:
    """The versions, by the tags of images; of one that is pinned by digest, istiod is asked.

    :returns: ``control_plane`` (``{revision, version, pods}``), ``proxies`` (``{version, revision, count,
        behind, example}``; ``behind``: another version than the istiod of its revision, None where that is
        not known).
    """
    space = look.catalogue.istio_namespace
    found = look.attempt(
        PART, lambda: look.client.list("v1", "Pod", space, label_selector=ISTIOD_SELECTOR).items, []
    )
    istiods = ready_istiods(found)
    if not istiods:
        look.tell_not(PART, f"no istiod is ready in {space}")
    planes = Counter((istiod.revision, istiod.version) for istiod in istiods)
    proxies = running_proxies(look.pods)
    table: Mapping[str, Any] = {}
    if any(not proxy.version for proxy in proxies):
        table = look.attempt(PART, lambda: sync_table(look.client, istiods), {})
    counts: dict[tuple[str, str], list[RunningProxy]] = {}
    for proxy in proxies:
        state = table.get(proxy.sync_id)
        version = proxy.version or (state.version if state else "")
        counts.setdefault((version, proxy.revision or DEFAULT_REVISION), []).append(proxy)
    unknown = sum(len(group) for (version, _revision), group in counts.items() if not version)
    if unknown:
        look.tell_not(PART, f"the version of {unknown} proxies is not known")
    return {
        "control_plane": [
            {"revision": revision, "version": version, "pods": pods}
            for (revision, version), pods in sorted(planes.items())
        ],
        "proxies": [
            {
                "version": version,
                "revision": revision,
                "count": len(group),
                "behind": _behind(version, revision, planes),
                "example": str(group[0]),
            }
            for (version, revision), group in sorted(counts.items())
        ],
    }


def _behind(version: str, revision: str, planes: Mapping[tuple[str, str], int]) -> bool | None:
    wanted = {known for of, known in planes if of == revision and known}
    return version not in wanted if version and wanted else None
