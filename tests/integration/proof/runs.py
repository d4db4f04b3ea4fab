"""Runs of verify's backend in this process, with the module's own checks of its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify

from ...unit.support.arguments import validated

PROBE_IMAGE = "lab.local/service:1"


def parameters(kubeconfig: str | None, catalogue: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """The parameters of a run, with the defaults of the module."""
    given = {"catalogue": dict(catalogue), "probe_image": PROBE_IMAGE, **options}
    given |= {"kubeconfig": kubeconfig} if kubeconfig else {}
    checked = validated(verify.ARGUMENT_SPEC, given)
    found: dict[str, Any] = checked
    return found


def verified(
    kubeconfig: str | None,
    catalogue: Mapping[str, Any],
    progress: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> dict[str, Any]:
    """What a run comes to."""
    context = Context(progress=progress, environment={})
    return verify.run(parameters(kubeconfig, catalogue, **options), context)


def verdicts(result: Mapping[str, Any], check: str) -> dict[str, tuple[str, str]]:
    """Subject -> verdict and message of one check; of several findings the one that did not pass."""
    found: dict[str, tuple[str, str]] = {}
    for finding in result["findings"]:
        known = found.get(finding["subject"], ("pass", ""))
        if finding["check"] == check and known[0] == "pass":
            found[finding["subject"]] = (finding["verdict"], finding["message"])
    return found
