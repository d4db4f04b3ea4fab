"""One run of the write path without the module's input files, defaults and rights before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import (
    ApplyOptions,
    apply_plan,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.input import (
    checked,
    with_scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import read_live


def apply(
    client: Any,
    desired: Sequence[Mapping[str, Any]],
    *,
    absent: Sequence[Mapping[str, Any]] = (),
    context: Context | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Make ``desired`` exist and ``absent`` not, as module ``resources`` does it.

    :param client: of a real API server, or the one in memory. :param options: of `ApplyOptions`.
    :returns: see ``apply_plan``.
    """
    objects = with_scope(client, checked(desired), options.get("namespace"))
    gone = with_scope(client, checked(absent))
    live = read_live(client, [*objects, *gone])
    deletions = [found for found in map(live.get, gone) if found is not None]
    context = context or Context()
    return apply_plan(client, objects, live, deletions, context=context, options=ApplyOptions(**options))
