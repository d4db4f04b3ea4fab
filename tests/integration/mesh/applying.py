"""Catalogues, applied with the backend of module resources."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)


def apply_catalogue(raw: dict[str, Any], *, check_mode: bool = False, **more: Any) -> dict[str, Any]:
    """Apply a catalogue; what its mesh has beside it goes. :param more: further options of the module.

    :returns: what the module answers.
    """
    params = {
        **{name: option.get("default") for name, option in resources.ARGUMENT_SPEC.items()},
        "kubeconfig": os.environ["KUBECONFIG"],
        "catalogue": raw,
        "prune": True,
        "strict_guard": "warn",
        "wait": True,
        **more,
    }
    return resources.run(params, Context(check_mode=check_mode, environment=dict(os.environ)))


def apply_of_the_lab(raw: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The same as owner of the lab's mesh, as in the lab's inventory."""
    return apply_catalogue(raw, owner=f"{raw['mesh_name']}@lab", **more)
