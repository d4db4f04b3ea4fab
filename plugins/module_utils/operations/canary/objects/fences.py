# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest fence that any object of a service's rollouts bears.

A new holder's fence is above all of them, not only above its Lease's: a Lease that somebody deleted would
else begin again at 1, and nobody could write the routes any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....documents.json_text import from_json
from ....fields import text_at
from ....model.rollout.journal import JOURNAL_KEY
from ....model.rollout.record import RECORD_KEY, journal_name, release_name
from ..protocols import Objects
from .routes import ForeignRoutes, OwnRoutes, fence_of


def highest_fence(client: Objects, *, service: str, namespace: str, routes: OwnRoutes | ForeignRoutes) -> int:
    """Of journal, release record and routes; 0 where there are none.

    What cannot be read has no fence here: whoever has to read it says so.
    """
    journal = client.get("v1", "ConfigMap", journal_name(service), namespace)
    record = client.get("v1", "ConfigMap", release_name(service), namespace)
    written = (
        fence_in(journal, JOURNAL_KEY),
        fence_in(record, RECORD_KEY),
        fence_of(routes.read(), routes.annotation),
    )
    return max(written)


def fence_in(config_map: Mapping[str, Any] | None, key: str) -> int:
    """The fence in the JSON of a ConfigMap, 0 for none, or where it cannot be read."""
    try:
        data = from_json(text_at(config_map, "data", key) or "{}")
    except ValueError:
        return 0
    fence = data.get("fence") if isinstance(data, dict) else 0
    return fence if isinstance(fence, int) and not isinstance(fence, bool) else 0
